"""A comparison in a terminal, and as CSV."""

import csv
import io

from ostinato.comparison.results import Comparison, Cost, RunRow, SummaryRow
from ostinato.evaluation.results import Metric
from ostinato.printable import visible_lines
from ostinato.report.terminal import print_table
from ostinato.report.wording import counted
from ostinato.tasks import TASKS

MAX_SENTENCES = 15  # the page and comparison.json have all
COST_HEADINGS = (
    "training tokens/s",
    "ms a sequence (p50)",
    "(p99)",
    "ms a batch of 32",
    "sequences/s",
    "memory MiB",
    "file KiB",
)


def comparison_headings(comparison: Comparison) -> list[str]:
    """The columns of the table, in the terminal and on the page."""
    keys = dict.fromkeys(key for row in comparison.summary for key in row.settings)
    scores = (comparison.metric.replace("_", " "), "95 % interval", baseline_heading(comparison))
    return [*(key.rpartition(".")[2] for key in keys), *scores, "weights", "training s", *COST_HEADINGS]


def comparison_row(comparison: Comparison, row: SummaryRow) -> list[str]:
    """The cells of one combination."""
    metric = metric_of(comparison)
    low, high = row.interval
    baseline = main_baseline(comparison, row)
    return [
        *row.settings.values(),
        metric.text(row.mean),
        f"{metric.text(low)} – {metric.text(high)}",
        "" if baseline is None else metric.text(baseline),
        f"{row.parameters:,}",
        f"{row.training_s:.1f}",
        *_cost_cells(row.cost),
    ]


def _cost_cells(cost: Cost | None) -> list[str]:
    if cost is None:
        return [""] * len(COST_HEADINGS)
    return [
        f"{cost.training_tokens_per_s:,.0f}",
        f"{cost.latency_ms.p50:.2f}",
        f"{cost.latency_ms.p99:.2f}",
        f"{cost.batch_ms:.2f}",
        f"{cost.sequences_per_s:,.0f}",
        "" if cost.memory_mib is None else f"{cost.memory_mib:,.0f}",
        f"{cost.file_bytes / 1024:,.0f}",
    ]


def metric_of(comparison: Comparison) -> Metric:
    """The metric that the models are compared by."""
    return TASKS[comparison.task].metrics[comparison.metric]


def baseline_heading(comparison: Comparison) -> str:
    """The name of the strongest simple model, as a column's heading."""
    return next(iter(TASKS[comparison.task].baselines.values()))


def main_baseline(comparison: Comparison, row: SummaryRow) -> float | None:
    """The strongest simple model's score on the row's test examples; None where it has none."""
    return row.baselines.get(next(iter(TASKS[comparison.task].baselines)))


def significance_summary(comparison: Comparison) -> str:
    """How many pairs differ significantly, in a sentence."""
    if not comparison.pairs:
        return "There is no pair of combinations to compare: two must differ in one setting, on the same test rows."
    pairs = counted(len(comparison.pairs), "pair")
    significant = sum(pair.is_significant for pair in comparison.pairs)
    if not significant:
        return f"{pairs} compared, with no significant difference: choose by cost."
    return f"{pairs} compared, {significant} significantly different:"


def print_comparison(comparison: Comparison) -> None:
    """Print the table, the failed runs, and a sentence for each pair."""
    if comparison.summary:
        rows = [comparison_row(comparison, row) for row in comparison.summary]
        print_table(comparison_headings(comparison), rows)
    for run in comparison.runs:
        if run.reason is not None:
            print(visible_lines(f"{run.status}: {run.folder}: {run.reason}"))
    sentences = [pair.sentence for pair in comparison.pairs] or [significance_summary(comparison)]
    print("", *map(visible_lines, sentences[:MAX_SENTENCES]), sep="\n")
    if len(sentences) > MAX_SENTENCES:
        print(f"… and {len(sentences) - MAX_SENTENCES} more pairs, on the page and in comparison.json.")


def to_csv(comparison: Comparison) -> str:
    """One line for each run."""
    settings = list(dict.fromkeys(key for run in comparison.runs for key in run.settings))
    metrics = list(TASKS[comparison.task].metrics)
    facts = ("seconds", "epochs", "parameters", "hidden_size")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*settings, "seed", "fold", "status", *metrics, *facts, "reason"])
    for run in comparison.runs:
        writer.writerow(_csv_row(run, settings, metrics))  # None is written as an empty cell
    return text.getvalue()


def _csv_row(run: RunRow, settings: list[str], metrics: list[str]) -> list[object]:
    varied = [run.settings.get(key, "") for key in settings]
    scores = [run.test.get(name) for name in metrics]
    facts = [run.seconds, run.epochs, run.parameters, run.hidden_size]
    return [*varied, run.seed, run.fold, run.status, *scores, *facts, run.reason]
