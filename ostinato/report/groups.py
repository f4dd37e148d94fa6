"""Scores within groups of test examples: of similar confidence, of similar length."""

from typing import NamedTuple

import numpy as np

from ostinato.evaluation.bootstrap import LEVEL, Interval, wilson_interval
from ostinato.evaluation.metrics import CALIBRATION_BINS

LENGTH_GROUPS = 6
ANY: Interval = (-np.inf, np.inf)  # bounds of a score that can have any value


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
    interval: Interval


def by_confidence(targets: np.ndarray, probabilities: np.ndarray) -> list[Group]:
    """The non-empty bins of the calibration error (ECE).

    Args:
        targets: (B,) class indices.
        probabilities: (B, C).
    """
    confidence = probabilities.max(axis=1)
    return _groups(confidence, probabilities.argmax(axis=1) == targets, np.ceil(confidence * CALIBRATION_BINS))


def by_length(lengths: np.ndarray, scores: np.ndarray, bounds: Interval = ANY) -> list[Group]:
    """At most six groups of about equal size; examples of equal length stay together.

    Args:
        lengths: (B,).
        scores: (B,) whether each example is right, or a number, such as its absolute error.
        bounds: the smallest and largest possible score.
    """
    edges = np.unique(np.quantile(lengths, np.arange(1, LENGTH_GROUPS) / LENGTH_GROUPS))
    return _groups(lengths, scores, np.searchsorted(edges, lengths, side="left"), bounds)


def mean_interval(scores: np.ndarray, bounds: Interval = ANY) -> Interval:
    """The 95 % interval of a mean, within `bounds`: Wilson's for booleans, Student's t for numbers.

    That of a single number has no width.
    """
    from scipy.stats import t

    if scores.dtype == bool:
        return wilson_interval(int(scores.sum()), len(scores))
    mean, n = float(scores.mean()), len(scores)
    margin = float(t.ppf((1 + LEVEL) / 2, n - 1) * scores.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    return max(mean - margin, bounds[0]), min(mean + margin, bounds[1])


def _groups(values: np.ndarray, scores: np.ndarray, group_of: np.ndarray, bounds: Interval = ANY) -> list[Group]:
    groups = []
    for group in np.unique(group_of):
        own, score = values[group_of == group], scores[group_of == group]
        extent = float(own.min()), float(own.mean()), float(own.max())
        groups.append(Group(*extent, len(own), float(score.mean()), mean_interval(score, bounds)))
    return groups
