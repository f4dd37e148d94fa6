"""Confidence intervals: how much a metric would vary if the split held other examples of the same kind."""

from collections.abc import Callable, Iterator

import numpy as np

from ostinato.errors import ConfigError
from ostinato.evaluation.metrics import check_predictions, expected_calibration_error, weighted_scores

CHUNK = 2**19  # resampled examples held in memory at once: arrays that fit the cache
LEVEL = 0.95

Interval = tuple[float, float]


def bootstrap_intervals(
    targets: np.ndarray, probabilities: np.ndarray, *, resamples: int = 1000, level: float = LEVEL, seed: int = 0
) -> dict[str, Interval]:
    """Intervals (low, high) of the metrics of `classification_metrics`, by the percentile bootstrap over examples.

    Two metrics use another interval. Accuracy and micro F1 (the same number) use the Wilson score interval: where every
    example is right, all resamples agree, and a percentile interval would claim certainty, [1, 1]. Balanced accuracy,
    macro F1, MCC, AUROC and average precision still do in that case. ECE uses the basic bootstrap interval, widened to
    include the estimate: noise increases an ECE, so resamples lie above the estimate and the true value below it.

    Args:
        targets: (B,) class indices.
        probabilities: (B, C), rows sum to 1.
        resamples: number of resamples of the examples, drawn with replacement.
        level: coverage of the intervals, between 0 and 1.
        seed: draws the resamples.

    Returns:
        The defined metrics only. AUROC and average precision ignore resamples in which a class is missing.

    Raises:
        ConfigError: the predictions cannot be scored (see `classification_metrics`), or an option is out of range.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; Wilson, Probable Inference, 1927.
    """
    targets, probabilities = check_predictions(targets, probabilities)
    intervals = percentile_intervals(
        lambda weights: weighted_scores(targets, probabilities, weights),
        len(targets),
        resamples=resamples,
        level=level,
        seed=seed,
    )
    accuracy = wilson_interval(int((probabilities.argmax(axis=1) == targets).sum()), len(targets), level)
    ece = basic_interval(intervals["ece"], expected_calibration_error(targets, probabilities))
    return intervals | {"accuracy": accuracy, "micro_f1": accuracy, "ece": ece}


def percentile_intervals(
    scores: Callable[[np.ndarray], dict[str, np.ndarray]],
    n: int,
    *,
    resamples: int = 1000,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile bootstrap intervals of any metrics that are functions of example weights.

    Args:
        scores: maps example weights (R, n) to each metric (R,), NaN where it is undefined.
        n: number of examples.
        resamples: number of resamples of the examples, drawn with replacement.
        level: coverage of the intervals, between 0 and 1.
        seed: draws the resamples.

    Returns:
        The metrics that are defined on at least one resample; undefined resamples are ignored.

    Raises:
        ConfigError: `level` or `resamples` is out of range.
    """
    if not 0 < level < 1 or resamples < 1:
        raise ConfigError(
            f"level {level}, resamples {resamples}: out of range. "
            "Give a level between 0 and 1 (such as 0.95) and at least one resample."
        )
    chunks = [scores(weights) for weights in resample(n, resamples, seed)]
    intervals = {}
    for name in chunks[0]:
        values = np.concatenate([chunk[name] for chunk in chunks])
        values = values[~np.isnan(values)]
        if len(values):
            low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]).tolist()
            intervals[name] = (low, high)
    return intervals


def resample(B: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Draw bootstrap resamples in chunks (R, B): how often each resample holds each example."""
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK // B)
    for start in range(0, resamples, rows):
        R = min(rows, resamples - start)
        drawn = rng.integers(B, size=(R, B)) + np.arange(R)[:, None] * B
        yield np.bincount(drawn.ravel(), minlength=R * B).reshape(R, B).astype(np.float64)


def wilson_interval(correct: int, total: int, level: float = LEVEL) -> Interval:
    """The interval of the share `correct / total`. Source: Wilson, Probable Inference, 1927."""
    from scipy.stats import binomtest

    interval = binomtest(correct, total).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def basic_interval(percentiles: Interval, estimate: float) -> Interval:
    """The basic bootstrap interval of a score that is never negative, widened to include the estimate."""
    low, high = percentiles
    return max(0.0, min(2 * estimate - high, estimate)), max(2 * estimate - low, estimate)
