"""A comparison as a web page: which models differ, at what cost, and how to reproduce it. One self-contained file."""

import shlex
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ostinato.comparison.compare import BASE
from ostinato.comparison.figures import plot_curves, plot_intervals, plot_pareto
from ostinato.comparison.plan import FRACTION, LENGTH, format_value
from ostinato.comparison.results import Comparison, SummaryRow
from ostinato.comparison.table import (
    baseline_heading,
    comparison_headings,
    comparison_row,
    main_baseline,
    metric_of,
    significance_summary,
)
from ostinato.errors import MissingExtraError
from ostinato.evaluation.results import Metric
from ostinato.report.gallery import Gallery
from ostinato.report.page import Section, bullets, code, figure, heading, join, paragraph, render, table
from ostinato.report.wording import counted
from ostinato.storage import make_subfolder, write_atomically
from ostinato.tasks import TASKS

if TYPE_CHECKING:
    from markupsafe import Markup

UNMATCHED = 1.05  # a larger ratio of weights is not explained by rounding the hidden size


def write_comparison_page(comparison: Comparison, folder: Path) -> Path:
    """Write `comparison.html`, and its plots as files in `figures/`. Returns the page's path.

    Raises:
        RunError: a file cannot be written.
        MissingExtraError: a package of the extra `explain` is not installed.
    """
    page, gallery = folder / "comparison.html", Gallery()
    sections = [Section("Result", "result", _result(comparison))]
    if comparison.summary:
        sections += [
            Section("Quality and cost", "table", _table(comparison)),
            Section("Intervals", "intervals", _intervals(comparison, gallery)),
            *_curves(comparison, gallery),
            *_pareto(comparison, gallery),
            Section("Pairs", "pairs", _pairs(comparison)),
        ]
    sections += [
        Section("Runs", "runs", _runs(comparison)),
        Section("How to reproduce", "reproduce", _reproduce(comparison, folder)),
    ]
    make_subfolder(folder / "figures")
    gallery.save(folder / "figures")
    write_atomically(page, render(f"Comparison {folder.resolve().name}", sections))
    return page


def check_page_extra() -> None:
    """Check that the page can be written, before hours of training.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    for package in ("jinja2", "matplotlib"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "explain", "The page of a comparison")


def pareto_front(rows: Sequence[SummaryRow], cost: Callable[[SummaryRow], float], metric: Metric) -> list[SummaryRow]:
    """The rows that no other row beats in metric or cost without being worse in the other."""
    sign = 1 if metric.higher_is_better else -1

    def beats(other: SummaryRow, row: SummaryRow) -> bool:
        quality, saving = sign * (other.mean - row.mean), cost(row) - cost(other)
        return quality >= 0 and saving >= 0 and (quality > 0 or saving > 0)

    return [row for row in rows if not any(beats(other, row) for other in rows)]


def command(comparison: Comparison, folder: Path) -> str:
    """The command that repeats the comparison."""
    plan = comparison.plan
    varied = dict(plan.vary)
    if plan.lengths:
        varied[LENGTH] = [*plan.lengths]
    settings = [f"{key}={','.join(map(format_value, values))}" for key, values in varied.items()]
    seeds = ",".join(map(str, plan.seeds)) + ("," if len(plan.seeds) == 1 else "")  # a comma: not a number of seeds
    return " ".join(
        [
            "ostinato compare",
            shlex.quote(f"{folder.resolve().name}/{BASE}"),
            *(f"--vary {shlex.quote(setting)}" for setting in settings),
            f"--seeds {seeds}",
            f"--match {plan.match}",
            f"--metric {plan.metric}",
            *([f"--budget-trials {plan.trials}"] if plan.trials else []),
        ]
    )


def _result(comparison: Comparison) -> "Markup":
    body = paragraph(significance_summary(comparison))
    body += bullets(pair.sentence for pair in comparison.pairs if pair.is_significant)
    metric = metric_of(comparison)
    worse = [
        f"{row.name} ({metric.text(row.mean)}, baseline {metric.text(baseline)})"
        for row in comparison.summary
        if (baseline := main_baseline(comparison, row)) is not None and _is_worse(row.mean, baseline, metric)
    ]
    if worse:
        rival = TASKS[comparison.task].rival
        body += paragraph(f"Worse than {rival} on the same rows, by the mean: {'; '.join(worse)}.")
    if comparison.failed:
        body += paragraph(f"{counted(len(comparison.failed), 'run')} failed; the results are those of the others:")
        body += bullets(f"{run.folder}: {run.reason}" for run in comparison.failed)
    return body


def _is_worse(mean: float, baseline: float, metric: Metric) -> bool:
    return mean < baseline if metric.higher_is_better else mean > baseline


def _table(comparison: Comparison) -> "Markup":
    headings = comparison_headings(comparison)
    rows = [comparison_row(comparison, row) for row in comparison.summary]
    sizes = (
        "Hidden sizes are adjusted so that all models have about as many weights. "
        if comparison.plan.match == "parameters"
        else "Hidden sizes are those of the config. "
    )
    about = (
        f"Means over the seeds of the {_metric_name(comparison)} on the test rows. {sizes}{_unmatched(comparison)}"
        "Training seconds are those of the runs, which trained in parallel. All other costs were measured afterwards, "
        "with nothing else running, on the first seed's model. Memory is the peak of the predicting process, libraries "
        "and data included."
    )
    num_settings = len(comparison.summary[0].settings)
    return paragraph(about) + table(headings, rows, numeric=range(num_settings, len(headings)))


def _unmatched(comparison: Comparison) -> str:
    """A sentence where the varied data change the number of weights in a way that hidden sizes cannot balance."""
    weights = [row.parameters for row in comparison.summary]
    varies_data = any(key.startswith("data.") for key in comparison.plan.vary)
    if comparison.plan.match != "parameters" or not varies_data or max(weights) <= UNMATCHED * min(weights):
        return ""
    return "The remaining difference comes from the varied data, such as the size of the vocabulary. "


def _intervals(comparison: Comparison, gallery: Gallery) -> "Markup":
    rows = comparison.summary
    over = (
        "the seeds (Student's t)"
        if rows[0].interval_over == "seeds"
        else "the test rows (a single seed does not show how much seeds vary)"
    )
    caption = (
        f"Mean and 95 % interval over {over}. Small ticks are single seeds, dashed lines the baseline "
        f"({baseline_heading(comparison)}). Two intervals that overlap can belong to significantly different models, "
        "because the tests of the pairs below use the same rows for both."
    )
    plot = plot_intervals(rows, [main_baseline(comparison, row) for row in rows], _metric_name(comparison))
    return figure(gallery.show(plot, "Intervals"), caption)


def _curves(comparison: Comparison, gallery: Gallery) -> list[Section]:
    """Curves over the share of training data and over test lengths, where those are varied."""
    metric = _metric_name(comparison)
    kinds = {
        FRACTION: ("Learning curves", "learning-curves", "share of the training rows"),
        LENGTH: ("Lengths", "lengths", "length of the test sequences"),
    }
    sections = []
    for key, (title, anchor, axis) in kinds.items():
        curves: dict[str, list[SummaryRow]] = {}
        for row in comparison.summary:
            if key in row.settings:
                others = ", ".join(value for other, value in row.settings.items() if other != key)
                curves.setdefault(others or "the config", []).append(row)
        if curves:
            plot = gallery.show(plot_curves(curves, key, metric), title)
            caption = f"{metric.capitalize()} by {axis}; bands are 95 % intervals."
            sections.append(Section(title, anchor, figure(plot, caption)))
    return sections


def _pareto(comparison: Comparison, gallery: Gallery) -> list[Section]:
    rows = [row for row in comparison.summary if row.cost is not None and LENGTH not in row.settings]
    if len(rows) < 2:
        return []
    metric, plots, lines = _metric_name(comparison), [], []
    for name, cost in (("ms for one sequence (median)", _latency), ("training seconds", _training_s)):
        front = pareto_front(rows, cost, metric_of(comparison))
        plot = plot_pareto(rows, front, cost, cost_name=name, metric=metric)
        plots.append(gallery.show(plot, f"{metric} against {name}"))
        lines.append(f"By {name}: {', '.join(row.name for row in front)}.")
    caption = (
        "The line joins the Pareto front: no other model is better in one and at least as good in the other. "
        "The front does not show which differences are significant: see the pairs."
    )
    return [Section("Speed against quality", "pareto", figure(join(plots), caption) + bullets(lines))]


def _latency(row: SummaryRow) -> float:
    assert row.cost is not None
    return row.cost.latency_ms.p50


def _training_s(row: SummaryRow) -> float:
    return row.training_s


def _pairs(comparison: Comparison) -> "Markup":
    pairs = comparison.pairs
    if not pairs:
        return paragraph(significance_summary(comparison))
    metric = metric_of(comparison)
    shown = metric.difference_text
    rows = [
        (
            pair.first,
            pair.second,
            shown(pair.difference),
            f"{shown(pair.interval[0])} to {shown(pair.interval[1])}",
            f"{pair.p:.3g}",
            "" if pair.effect is None else f"{pair.effect:+.2f}",
            pair.verdict,
        )
        for pair in pairs
    ]
    about = (
        f"Pairs that differ in one setting. Test: {pairs[0].test}. The p values are corrected by Holm for "
        f"{counted(len(pairs), 'pair')}; the intervals are not. Not significantly different does not mean equal: the "
        "interval shows how large the difference could still be."
    )
    difference = f"difference in {metric.unit or 'the unit of the targets'}"
    headings = ("first", "second", difference, "95 % interval", "p", pairs[0].effect_name, "the first is")
    body = paragraph(about) + table(headings, rows, numeric=range(2, 6))
    return body + heading("In words") + bullets(pair.sentence for pair in pairs)


def _runs(comparison: Comparison) -> "Markup":
    digits = ".4f" if metric_of(comparison).unit else ".5g"
    rows = []
    for run in comparison.runs:
        score = run.test.get(comparison.metric)
        outcome = run.reason if score is None else f"{score:{digits}}"
        rows.append((run.folder, run.status, outcome, _shown(run.epochs), _shown(run.seconds)))
    return table(("run", "", _metric_name(comparison), "epochs", "seconds"), rows, numeric=range(2, 5))


def _shown(value: float | None) -> str:
    return "" if value is None else str(value)


def _reproduce(comparison: Comparison, folder: Path) -> "Markup":
    machine = comparison.environment
    facts = {
        "ostinato": machine.ostinato,
        "python": machine.python,
        "platform": machine.platform,
        "processor": machine.processor,
        "cores": machine.cores,
        "torch": machine.packages.get("torch"),
    }
    about = (
        "On a CPU, the same versions, machine and number of processes produce the same weights. The base config is "
        "below."
    )
    body = paragraph(about) + code(command(comparison, folder))
    body += table(("name", "value"), [(name, str(value)) for name, value in facts.items()])
    return body + code(comparison.plan.config)


def _metric_name(comparison: Comparison) -> str:
    return comparison.metric.replace("_", " ")
