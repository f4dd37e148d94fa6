"""How far a metric could be off, had the split held other examples of the same kind."""

from collections.abc import Iterator

import numpy as np

from ostinato.errors import ConfigError
from ostinato.evaluation.metrics import check_predictions, expected_calibration_error, weighted_scores

CHUNK = 2**19  # resampled examples held at once: arrays that stay near the cache


def bootstrap_intervals(
    targets: np.ndarray, probabilities: np.ndarray, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, list[float]]:
    """Intervals [low, high] of the metrics of `classification_metrics`, by the percentile bootstrap over examples.

    Two depart from it. Accuracy and micro F1 (the same number) have the Wilson score interval: where every example is
    right, all resamples agree, and a percentile interval would claim certainty, [1, 1]; balanced accuracy, macro F1,
    MCC, AUROC and average precision still do then. ECE has the basic bootstrap interval, widened to hold the
    estimate: noise adds to an ECE, so resamples lie above it and it lies above the truth.

    Args:
        targets: (B,) class indices.
        probabilities: (B, C), rows sum to 1.
        resamples: drawn from the examples, with replacement.
        level: the intervals' coverage.
        seed: draws the resamples.

    Returns:
        The defined metrics only. Resamples in which a class is missing do not count for AUROC and average precision.

    Raises:
        ConfigError: the predictions cannot be scored (see `classification_metrics`), or an option is out of range.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; Wilson, Probable Inference, 1927.
    """
    targets, probabilities = check_predictions(targets, probabilities)
    if not 0 < level < 1 or resamples < 1:
        raise ConfigError(
            f"level {level}, resamples {resamples}: not usable. Give a level between 0 and 1 (as 0.95) and at least one resample."
        )
    chunks = [weighted_scores(targets, probabilities, weights) for weights in resample(len(targets), resamples, seed)]
    intervals = {}
    for name in chunks[0]:
        scores = np.concatenate([chunk[name] for chunk in chunks])
        defined = scores[~np.isnan(scores)]
        if len(defined):
            intervals[name] = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]).tolist()
    wilson = _wilson_interval(int((probabilities.argmax(axis=1) == targets).sum()), len(targets), level)
    ece = _reflect(intervals["ece"], expected_calibration_error(targets, probabilities))
    return intervals | {"accuracy": wilson, "micro_f1": list(wilson), "ece": ece}


def resample(B: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each resample holds each example, as (some resamples, B)."""
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK // B)
    for start in range(0, resamples, rows):
        R = min(rows, resamples - start)
        drawn = rng.integers(B, size=(R, B)) + np.arange(R)[:, None] * B
        yield np.bincount(drawn.ravel(), minlength=R * B).reshape(R, B).astype(np.float64)


def _wilson_interval(correct: int, total: int, level: float) -> list[float]:
    from scipy.stats import binomtest

    interval = binomtest(correct, total).proportion_ci(level, method="wilson")
    return [float(interval.low), float(interval.high)]


def _reflect(percentiles: list[float], estimate: float) -> list[float]:
    """The basic bootstrap interval of a score that is never negative, widened to hold the estimate."""
    low, high = percentiles
    return [max(0.0, min(2 * estimate - high, estimate)), max(2 * estimate - low, estimate)]
