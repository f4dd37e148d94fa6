"""A comparison as a person reads it in a terminal."""

from typing import Any

from ostinato.evaluation.results import Metric
from ostinato.evaluation.statistics import NO_DIFFERENCE
from ostinato.report.terminal import print_table
from ostinato.tasks import TASKS

MOST_SENTENCES = 15  # the rest is in the page and in comparison.json


def comparison_headings(results: dict[str, Any]) -> list[str]:
    """The columns of the table, in the terminal and on the page."""
    keys = list(dict.fromkeys(key for row in results["summary"] for key in row["settings"]))
    metric = results["metric"].replace("_", " ")
    costs = [
        "training s",
        "training tokens/s",
        "ms a sequence (p50)",
        "(p99)",
        "ms a batch of 32",
        "sequences/s",
        "memory MiB",
        "file KiB",
    ]
    return [
        *(key.rpartition(".")[2] for key in keys),
        metric,
        "95 % interval",
        baseline_name(results),
        "weights",
        *costs,
    ]


def baseline_name(results: dict[str, Any]) -> str:
    """What the simple model is called that the others are held against."""
    return next(iter(TASKS[results["task"]].baselines.values()))


def metric_of(results: dict[str, Any]) -> Metric:
    """What the models are compared by."""
    return TASKS[results["task"]].metrics[results["metric"]]


def main_baseline(row: dict[str, Any]) -> float | None:
    """What that model scores on the row's test examples; None where it was not asked."""
    return next(iter(row["baselines"].values()), None)


def comparison_row(row: dict[str, Any], metric: Metric) -> list[str]:
    """One combination."""
    low, high = row["interval"]
    cost = row["cost"]
    measured = [""] * 7
    if cost is not None:
        memory = "" if cost["memory_mib"] is None else f"{cost['memory_mib']:,.0f}"
        rates = (
            f"{cost['training_tokens_per_s']:,.0f}",
            f"{cost['latency_ms']['p50']:.2f}",
            f"{cost['latency_ms']['p99']:.2f}",
            f"{cost['batch_ms']:.2f}",
        )
        measured = [*rates, f"{cost['sequences_per_s']:,.0f}", memory, f"{cost['file_bytes'] / 1024:,.0f}"]
    baseline = main_baseline(row)
    told = "" if baseline is None else metric.text(baseline)
    return [
        *row["settings"].values(),
        metric.text(row["mean"]),
        f"{metric.text(low)} – {metric.text(high)}",
        told,
        f"{row['parameters']:,}",
        f"{row['training_s']:.1f}",
        *measured,
    ]


def told_apart(results: dict[str, Any]) -> str:
    """How many pairs differ, in a sentence."""
    pairs = results["pairs"]
    apart = [pair for pair in pairs if pair["verdict"] != NO_DIFFERENCE]
    counted = f"{len(pairs):,} pair{'' if len(pairs) == 1 else 's'}"
    if not pairs:
        return "There is no pair of combinations to compare: one setting must differ, on the same test rows."
    if not apart:
        return f"Of {counted}, none is told apart by these data: nothing here says which to choose but the cost."
    return f"Of {counted}, {len(apart)} {'is' if len(apart) == 1 else 'are'} told apart:"


def print_comparison(results: dict[str, Any]) -> None:
    """The table, what failed, and a sentence for each pair."""
    if results["summary"]:
        print_table(
            comparison_headings(results), [comparison_row(row, metric_of(results)) for row in results["summary"]]
        )
    for run in results["runs"]:
        if run["status"] == "failed":
            print(f"failed: {run['folder']}: {run['reason']}")
    told = [pair["sentence"] for pair in results["pairs"]] or [told_apart(results)]
    print("", *told[:MOST_SENTENCES], sep="\n")
    if len(told) > MOST_SENTENCES:
        print(f"… and {len(told) - MOST_SENTENCES} pairs more, in the page and in comparison.json.")
