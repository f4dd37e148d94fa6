"""Numbers, labels and layers in sentences."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ostinato.config import ModelConfig
from ostinato.evaluation.results import Metric, Versus
from ostinato.evaluation.statistics import ALPHA, p_text

MAX_NAMED = 12  # labels named in a sentence
ABBREVIATIONS = ("auroc", "ece", "f1", "mae", "mcc", "r2", "rmse")  # among the words of metrics' names


def percent(share: float) -> str:
    """A share as `97.0 %`."""
    return f"{100 * share:.1f}\u00a0%"


def interval(ends: Iterable[float]) -> str:
    """Two shares as `95.3 to 98.1 %`."""
    low, high = ends
    return f"{100 * low:.1f} to {100 * high:.1f}\u00a0%"


def metric_value(value: float, metric: Metric) -> str:
    """A share as `97.0 %`, other values with four digits, as `0.01234 nats`."""
    return percent(value) if _is_share(metric) else f"{value:.4g}{_unit(metric)}"


def metric_interval(ends: Iterable[float], metric: Metric) -> str:
    """Two values of a metric as `95.3 to 98.1 %`, or `0.0121 to 0.0132 nats`."""
    if _is_share(metric):
        return interval(ends)
    low, high = ends
    return f"{low:.4g} to {high:.4g}{_unit(metric)}"


def metric_name(name: str) -> str:
    """The name of a metric's field in words: `macro_f1` as `macro F1`."""
    return " ".join(word.upper() if word in ABBREVIATIONS else word for word in name.split("_"))


def decimals(value: float | None) -> str:
    """Three decimals; a dash where the value is undefined."""
    return "–" if value is None or value != value else f"{value:.3f}"


def range_of(ends: Sequence[float] | None) -> str:
    """Two numbers as `0.953 to 0.981`; nothing where there is no interval."""
    return "" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"


def counted(number: int, what: str) -> str:
    """A number of things, as `1 step` or `2,000 steps`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def enumerate_labels(labels: Sequence[str]) -> str:
    """Labels separated by commas; only the first of many."""
    more = len(labels) - MAX_NAMED
    return ", ".join(labels[:MAX_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def short_source(source: str) -> str:
    """A row's source without the folders of its file: `/data/reviews.csv, row 17` as `reviews.csv, row 17`."""
    file, comma, row = source.partition(", ")
    return f"{Path(file).name}{comma}{row}"


def model_name(model: ModelConfig) -> str:
    """What sentences call a model: `GRU`, or `linear model`."""
    return "linear model" if model.cell == "none" else model.cell.upper()


def describe_layers(model: ModelConfig) -> str:
    """The recurrent layers, as `GRU, 2 layers of 64 units, bidirectional`."""
    direction = "bidirectional" if model.bidirectional else "unidirectional"
    layers, units = counted(model.num_layers, "layer"), counted(model.hidden_size, "unit")
    return f"{model.cell.upper()}, {layers} of {units}, {direction}"


def compare_to_baseline(
    value: float,
    ends: Sequence[float],
    baseline: float,
    baseline_ends: Sequence[float],
    *,
    model: str,
    rival: str,
    paired: Versus | None = None,
) -> str:
    """Whether a model beats its baseline: by a paired test, or without one by whether their 95 % intervals overlap.

    Args:
        value, baseline: larger ones are better.
        model, rival: with their article, as `the linear baseline`.
        paired: their comparison on the same rows.
    """
    if value == baseline:
        return f"{capitalized(model)} and {rival} are level: nothing here favours the neural model."
    leader, other = (model, rival) if value > baseline else (rival, model)
    if paired is not None:
        shown = f"paired on the same test rows, p {p_text(paired.p)} ({paired.test})"
        if paired.p < ALPHA:
            return f"{capitalized(leader)} beats {other}: {shown}."
        return f"{capitalized(leader)} is ahead of {other}, but not significantly: {shown}."
    if baseline_ends[0] <= ends[1] and ends[0] <= baseline_ends[1]:
        return (
            f"{capitalized(leader)} is ahead of {other}, but their intervals overlap: this test split does not settle "
            "which is better."
        )
    return f"{capitalized(leader)} beats {other}: their intervals do not overlap."


def capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _is_share(metric: Metric) -> bool:
    return metric.scale == 100


def _unit(metric: Metric) -> str:
    return f" {metric.unit}" if metric.unit else ""
