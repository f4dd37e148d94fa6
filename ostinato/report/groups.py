"""Scores within groups of test examples: of similar confidence, of similar length."""

from typing import NamedTuple

import numpy as np

from ostinato.evaluation.metrics import CALIBRATION_BINS

LENGTH_GROUPS = 6


class Group(NamedTuple):
    """Some examples of a split.

    Args:
        smallest, mean, largest: of the value that they are grouped by.
        n: examples.
        score: the mean of their scores: the accuracy, where a score is whether an example is right.
        interval: 95 % interval of the score.
    """

    smallest: float
    mean: float
    largest: float
    n: int
    score: float
    interval: tuple[float, float]


def by_confidence(targets: np.ndarray, probabilities: np.ndarray) -> list[Group]:
    """The non-empty bins of the calibration error (ECE).

    Args:
        targets: (B,) class indices.
        probabilities: (B, C).
    """
    confidence = probabilities.max(axis=1)
    return _groups(confidence, probabilities.argmax(axis=1) == targets, np.ceil(confidence * CALIBRATION_BINS))


def by_length(lengths: np.ndarray, scores: np.ndarray) -> list[Group]:
    """At most six groups of about equal size; examples of equal length stay together.

    Args:
        lengths: (B,).
        scores: (B,) whether each example is right, or a number, as its absolute error.
    """
    edges = np.unique(np.quantile(lengths, np.arange(1, LENGTH_GROUPS) / LENGTH_GROUPS))
    return _groups(lengths, scores, np.searchsorted(edges, lengths, side="left"))


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share: `right` of `n`. Source: Wilson, Probable Inference, 1927."""
    from scipy.stats import binomtest

    interval = binomtest(right, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(scores: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of a mean: Wilson's of booleans, Student's t of numbers; a single number has no width."""
    from scipy.stats import t

    if scores.dtype == bool:
        return wilson_interval(int(scores.sum()), len(scores))
    mean, n = float(scores.mean()), len(scores)
    margin = float(t.ppf(0.975, n - 1) * scores.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    return mean - margin, mean + margin


def _groups(values: np.ndarray, scores: np.ndarray, group_of: np.ndarray) -> list[Group]:
    groups = []
    for group in np.unique(group_of):
        own, score = values[group_of == group], scores[group_of == group]
        extent = float(own.min()), float(own.mean()), float(own.max())
        groups.append(Group(*extent, len(own), float(score.mean()), mean_interval(score)))
    return groups
