"""Results as a person reads them in a terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

HEADINGS = ("task", "model", "test accuracy", "95 % interval", "linear", "majority", "seconds", "run folder")
HEADINGS_OF_TAGGERS = (
    "task",
    "model",
    "test F1",
    "test accuracy",
    "95 % interval",
    "commonest tag",
    "seconds",
    "run folder",
)
MOST_CLASSES = 12  # a larger confusion matrix fits no terminal; `--json` has it
WIDTH_OF_A_PIPE = 100_000


def print_results(results: Sequence[tuple[Path, dict[str, Any]]]) -> None:
    """One line a run: the model beside what it must beat; taggers in a table of their own."""
    taggers = [each for each in results if each[1]["task"] == "tagging"]
    for headings, row, chosen in (
        (HEADINGS, result_row, [each for each in results if each not in taggers]),
        (HEADINGS_OF_TAGGERS, tagger_row, taggers),
    ):
        if chosen:
            print_table(headings, [row(folder, figures) for folder, figures in chosen])


def result_row(folder: Path, figures: dict[str, Any]) -> tuple[str, ...]:
    model, seconds = (
        f"{figures['model']['cell']}, {figures['model']['parameters']:,} weights",
        f"{figures['training']['seconds']:.1f}",
    )
    if "test" not in figures:
        return (figures["data"]["name"], model, "no test split", "", "", "", seconds, str(folder))
    test, baselines = figures["test"], figures["baselines"]
    low, high = test["intervals"]["accuracy"]
    beaten = (f"{baselines['linear']['accuracy']:.3f}", f"{baselines['majority']['accuracy']:.3f}")
    return (
        figures["data"]["name"],
        model,
        f"{test['accuracy']:.3f}",
        f"{low:.3f} – {high:.3f}",
        *beaten,
        seconds,
        str(folder),
    )


def tagger_row(folder: Path, figures: dict[str, Any]) -> tuple[str, ...]:
    """The interval is of F1 where the tags mark entities, else of accuracy, and so is the baseline's figure."""
    model, seconds = (
        f"{figures['model']['cell']}, {figures['model']['parameters']:,} weights",
        f"{figures['training']['seconds']:.1f}",
    )
    if "test" not in figures:
        return (figures["data"]["name"], model, "no test split", "", "", "", seconds, str(folder))
    test, metric = figures["test"], "accuracy" if figures["test"].get("f1") is None else "f1"
    low, high = test["intervals"][metric]
    commonest = f"{figures['baselines']['commonest'][metric]:.3f}"
    f1 = f"{test['f1']:.3f}" if metric == "f1" else ""
    return (
        figures["data"]["name"],
        model,
        f1,
        f"{test['accuracy']:.3f}",
        f"{low:.3f} – {high:.3f}",
        commonest,
        seconds,
        str(folder),
    )


def print_metrics(figures: dict[str, Any]) -> None:
    """All metrics of one split, with intervals, and what was taken for what when the classes are few."""
    rows = []
    for name, value in figures.items():
        if isinstance(value, int | float):
            interval = " – ".join(f"{end:.4f}" for end in figures["intervals"].get(name, []))
            rows.append(
                (name.replace("_", " "), f"{value:.4f}" if isinstance(value, float) else f"{value:,}", interval)
            )
    print_table(("metric", "value", "95 % interval"), rows)
    if figures.get("by_type"):
        columns = ("precision", "recall", "f1", "support")
        print_table(
            ("entity", *columns),
            [(kind, *(_shown(each[name]) for name in columns)) for kind, each in figures["by_type"].items()],
        )
    if "confusion" in figures:
        print_table(
            ("true tag", "taken for", "tokens"),
            [(true, taken, f"{count:,}") for true, taken, count in figures["confusion"]],
        )
    labels = list(figures.get("per_class", []))
    if labels and len(labels) <= MOST_CLASSES:
        print_table(
            ("true \\ predicted", *labels),
            [(label, *map(str, row)) for label, row in zip(labels, figures["confusion_matrix"], strict=True)],
        )


def _shown(value: float) -> str:
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A plain table: on a terminal, cells too wide are folded between words; in a pipe each row is one line."""
    console = Console(markup=False, emoji=False, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, *cells in zip(headings, *rows, strict=True):
        longest_word = max((cell_len(word) for cell in (heading, *cells) for word in cell.split()), default=0)
        table.add_column(heading, min_width=longest_word, overflow="fold")
    for row in rows:
        table.add_row(*row)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_PIPE
    console.print(table)
