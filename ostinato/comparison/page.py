"""The page of a comparison: who differs from whom, at what cost, and how to do it again. One self-contained file."""

import shlex
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.comparison.compare import BASE
from ostinato.comparison.figures import plot_curves, plot_front, plot_intervals
from ostinato.comparison.plan import FRACTION, LENGTH, text_of
from ostinato.comparison.table import (
    baseline_name,
    comparison_headings,
    comparison_row,
    main_baseline,
    metric_of,
    told_apart,
)
from ostinato.errors import MissingExtraError
from ostinato.evaluation.results import Metric
from ostinato.evaluation.statistics import NO_DIFFERENCE
from ostinato.report.gallery import Gallery
from ostinato.report.page import Section, bullets, code, figure, heading, join, paragraph, render, table
from ostinato.report.wording import counted
from ostinato.storage import write_atomically
from ostinato.tasks import TASKS

if TYPE_CHECKING:
    from markupsafe import Markup

Results = dict[str, Any]
Row = dict[str, Any]

COSTS: dict[str, tuple[str, Callable[[Row], float]]] = {
    "latency": ("ms for one sequence (median)", lambda row: row["cost"]["latency_ms"]["p50"]),
    "training": ("training seconds", lambda row: row["training_s"]),
}

UNEVEN = 1.05  # more than the steps of the hidden size leave


def write_comparison_page(results: Results, folder: Path) -> Path:
    """Write `comparison.html` and its pictures, as files in `figures/`. Returns the page's path.

    Raises:
        RunError: a file cannot be written.
        MissingExtraError: a package of the extra `explain` is not installed.
    """
    page, gallery = folder / "comparison.html", Gallery()
    sections = [Section("Result", "result", _result(results))]
    if results["summary"]:
        sections += [
            Section("Quality and cost", "table", _table(results)),
            Section("Intervals", "intervals", _intervals(results, gallery)),
            *_curves(results, gallery),
            *_fronts(results, gallery),
            Section("Pairs", "pairs", _pairs(results)),
        ]
    sections += [
        Section("Runs", "runs", _runs(results)),
        Section("How to reproduce", "reproduce", _reproduce(results, folder)),
    ]
    gallery.save(folder / "figures")
    write_atomically(page, render(f"Comparison {folder.resolve().name}", sections))
    return page


def check_page_extra() -> None:
    """Refuse to begin what ends in a page, where a package for it is missing.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    for package in ("jinja2", "matplotlib"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "explain", "The page of a comparison")


def _is_worse(mean: float, other: float, metric: Metric) -> bool:
    return mean < other if metric.higher_is_better else mean > other


def pareto_front(rows: Sequence[Row], cost: Callable[[Row], float], metric: Metric) -> list[Row]:
    """The rows that no other beats in one of metric and cost without losing in the other."""
    sign = 1 if metric.higher_is_better else -1

    def beats(other: Row, row: Row) -> bool:
        quality, price = sign * (other["mean"] - row["mean"]), cost(row) - cost(other)
        return quality >= 0 and price >= 0 and (quality > 0 or price > 0)

    return [row for row in rows if not any(beats(other, row) for other in rows)]


def _result(results: Results) -> "Markup":
    failed = [run for run in results["runs"] if run["status"] == "failed"]
    body = paragraph(told_apart(results))
    body += bullets(pair["sentence"] for pair in results["pairs"] if pair["verdict"] != NO_DIFFERENCE)
    held = [(row, baseline) for row in results["summary"] if (baseline := main_baseline(row)) is not None]
    below = [(row, baseline) for row, baseline in held if _is_worse(row["mean"], baseline, metric_of(results))]
    if below:
        text = metric_of(results).text
        names = "; ".join(
            f"{row['name']} ({text(row['mean'])}, that model {text(baseline)})" for row, baseline in below
        )
        simple = TASKS[results["task"]].rival
        body += paragraph(f"Behind {simple} on the same rows, by the mean: {names}.")
    if failed:
        body += paragraph(f"{counted(len(failed), 'run')} failed; what is said rests on the others:")
        body += bullets(f"{run['folder']}: {run['reason']}" for run in failed)
    return body


def _table(results: Results) -> "Markup":
    headings = comparison_headings(results)
    settings = len(results["summary"][0]["settings"])
    told = (
        f"Means over the seeds of the {_metric(results)} on the test rows. Hidden sizes are adjusted until all have about as many weights. "
        if results["plan"]["match"] == "parameters"
        else f"Means over the seeds of the {_metric(results)} on the test rows. Hidden sizes are as the config has them. "
    )
    weights = [row["parameters"] for row in results["summary"] if row["parameters"]]
    if (
        results["plan"]["match"] == "parameters"
        and max(weights, default=1) > UNEVEN * min(weights, default=1)
        and _varies_data(results)
    ):
        told += "What the varied data add to them (vocabulary, features) is left. "
    measured = (
        "Training seconds are those of the runs, which trained side by side; all other costs were measured afterwards, alone on the machine, "
        "on the first seed's model. Memory is the predicting process's peak, libraries and data included."
    )
    return paragraph(told + measured) + table(
        headings,
        [comparison_row(row, metric_of(results)) for row in results["summary"]],
        numeric=range(settings, len(headings)),
    )


def _varies_data(results: Results) -> bool:
    return any(key.startswith("data.") for key in results["plan"]["vary"])


def _intervals(results: Results, gallery: Gallery) -> "Markup":
    rows = results["summary"]
    over = (
        "the seeds (Student's t)"
        if rows[0]["interval_over"] == "seeds"
        else "the test rows (one seed tells nothing of others)"
    )
    caption = (
        f"Mean and 95 % interval over {over}; small ticks are single seeds, dashed lines the baseline ({baseline_name(results)}). "
        "Intervals that overlap do not show that two models are alike, nor the reverse: the pairs below are tested on the same rows."
    )
    return figure(gallery.show(plot_intervals(rows, _metric(results)), "Intervals"), caption)


def _curves(results: Results, gallery: Gallery) -> list[Section]:
    """Curves over the share of training data, and over test lengths, where those are varied."""
    told = {
        FRACTION: ("Learning curves", "learning-curves", "share of the training rows"),
        LENGTH: ("Lengths", "lengths", "length of the test sequences"),
    }
    sections = []
    for key, (title, name, what) in told.items():
        rows = [row for row in results["summary"] if key in row["settings"]]
        curves: dict[str, list[Row]] = {}
        for row in rows:
            rest = ", ".join(value for other, value in row["settings"].items() if other != key)
            curves.setdefault(rest or "the config", []).append(row)
        if rows:
            picture = gallery.show(plot_curves(curves, key, _metric(results)), title)
            sections.append(
                Section(
                    title,
                    name,
                    figure(picture, f"{_metric(results).capitalize()} by {what}; bands are 95 % intervals."),
                )
            )
    return sections


def _fronts(results: Results, gallery: Gallery) -> list[Section]:
    rows = [row for row in results["summary"] if row["cost"] is not None and LENGTH not in row["settings"]]
    if len(rows) < 2:
        return []
    pictures, lines = [], []
    for what, cost in COSTS.values():
        front = pareto_front(rows, cost, metric_of(results))
        pictures.append(
            gallery.show(plot_front(rows, cost, what, _metric(results), front), f"{_metric(results)} against {what}")
        )
        lines.append(f"By {what}: {', '.join(row['name'] for row in front)}.")
    caption = "On the line: no other is better in one and at least as good in the other. A place on the front is no proof of a difference: see the pairs."
    return [Section("Speed against quality", "pareto", figure(join(pictures), caption) + bullets(lines))]


def _pairs(results: Results) -> "Markup":
    pairs = results["pairs"]
    if not pairs:
        return paragraph(told_apart(results))
    metric = metric_of(results)
    shown = metric.difference_text
    rows = [
        (
            pair["first"],
            pair["second"],
            shown(pair["difference"]),
            f"{shown(pair['interval'][0])} to {shown(pair['interval'][1])}",
            f"{pair['p']:.3g}",
            "" if pair["effect"] is None else f"{pair['effect']:+.2f}",
            pair["verdict"],
        )
        for pair in pairs
    ]
    how = (
        f"Pairs that differ in one setting. Test: {pairs[0]['test']}. The p values are corrected by Holm for {counted(len(pairs), 'pair')}; "
        f"intervals are not. Not significantly different does not mean equal: the interval says how large a difference these data leave open."
    )
    headings = (
        "first",
        "second",
        f"difference in {metric.unit or 'the unit of the targets'}",
        "95 % interval",
        "p",
        pairs[0]["effect_name"],
        "the first is",
    )
    return (
        paragraph(how)
        + table(headings, rows, numeric=range(2, 6))
        + heading("In words")
        + bullets(pair["sentence"] for pair in pairs)
    )


def _runs(results: Results) -> "Markup":
    metric = results["metric"]
    rows = [
        (
            run["folder"],
            run["status"],
            f"{run['test'][metric]:{'.4f' if metric_of(results).unit else '.5g'}}" if "test" in run else run["reason"],
            run.get("epochs", ""),
            run.get("seconds", ""),
        )
        for run in results["runs"]
    ]
    return table(("run", "", _metric(results), "epochs", "seconds"), rows, numeric=range(2, 5))


def _reproduce(results: Results, folder: Path) -> "Markup":
    environment = results["environment"]
    facts = [(name, str(environment[name])) for name in ("ostinato", "python", "platform", "processor", "cores")]
    told = "On the CPU the same versions, machine and number of processes give the same weights. The config that was varied is below."
    facts.append(("torch", str(environment["packages"]["torch"])))
    return (
        paragraph(told)
        + code(command(results, folder))
        + table(("what", "found"), facts)
        + code(results["plan"]["config"])
    )


def command(results: Results, folder: Path) -> str:
    """The command line that does the comparison again."""
    plan = results["plan"]
    vary = [f"--vary {shlex.quote(f'{key}=' + ','.join(map(text_of, values)))}" for key, values in plan["vary"].items()]
    lengths = [f"--vary {LENGTH}={','.join(map(str, plan['lengths']))}"] if plan["lengths"] else []
    options = [
        f"--seeds {','.join(map(str, plan['seeds']))}{',' if len(plan['seeds']) == 1 else ''}",
        f"--match {plan['match']}",
        f"--metric {plan['metric']}",
    ]
    trials = [f"--budget-trials {plan['trials']}"] if plan["trials"] else []
    base = shlex.quote(f"{folder.resolve().name}/{BASE}")
    return " ".join(["ostinato compare", base, *vary, *lengths, *options, *trials])


def _metric(results: Results) -> str:
    return str(results["metric"]).replace("_", " ")
