"""Accuracy within groups of test examples: of like confidence, of like length."""

from typing import NamedTuple

import numpy as np

from ostinato.evaluation.metrics import CALIBRATION_BINS

LENGTH_GROUPS = 6


class Group(NamedTuple):
    """Examples taken together: the smallest, mean and largest value of what they were grouped by, and how many are right.

    `interval` is Wilson's, 95 %.
    """

    smallest: float
    mean: float
    largest: float
    n: int
    accuracy: float
    interval: tuple[float, float]


def by_confidence(targets: np.ndarray, probabilities: np.ndarray) -> list[Group]:
    """The bins of the calibration error (ECE) that hold an example.

    Args:
        targets: (B,) class indices.
        probabilities: (B, C).
    """
    confidence = probabilities.max(axis=1)
    return _groups(confidence, probabilities.argmax(axis=1) == targets, np.ceil(confidence * CALIBRATION_BINS))


def by_length(lengths: np.ndarray, correct: np.ndarray) -> list[Group]:
    """At most six groups, as equal in number as lengths that occur often let them be; equal lengths stay together.

    Args:
        lengths: (B,).
        correct: (B,) whether each example is right.
    """
    edges = np.unique(np.quantile(lengths, np.arange(1, LENGTH_GROUPS) / LENGTH_GROUPS))
    return _groups(lengths, correct, np.searchsorted(edges, lengths, side="left"))


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share: `right` of `n`. Source: Wilson, Probable Inference, 1927."""
    from scipy.stats import binomtest

    interval = binomtest(right, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def _groups(values: np.ndarray, correct: np.ndarray, group_of: np.ndarray) -> list[Group]:
    groups = []
    for group in np.unique(group_of):
        own, right = values[group_of == group], int(correct[group_of == group].sum())
        groups.append(
            Group(
                float(own.min()),
                float(own.mean()),
                float(own.max()),
                len(own),
                right / len(own),
                wilson_interval(right, len(own)),
            )
        )
    return groups
