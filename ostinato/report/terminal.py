"""Results as a person reads them in a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from ostinato.printable import visible

MOST_CLASSES = 12  # a larger confusion matrix fits no terminal; `--json` has it
WIDTH_OF_A_PIPE = 100_000


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
    if "by_type" in figures:
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
    headings, *rows = ([visible(cell) for cell in row] for row in (headings, *rows))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, *cells in zip(headings, *rows, strict=True):
        longest_word = max((cell_len(word) for cell in (heading, *cells) for word in cell.split()), default=0)
        table.add_column(heading, min_width=longest_word, overflow="fold")
    for row in rows:
        table.add_row(*row)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_PIPE
    console.print(table)
