"""Groups of test examples: their sizes, accuracies and intervals."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from ostinato.evaluation.bootstrap import wilson_interval
from ostinato.evaluation.metrics import expected_calibration_error
from ostinato.report.groups import by_confidence, by_length, mean_interval


def test_bins_of_confidence_add_up_to_the_calibration_error():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), size=200)
    targets = rng.integers(3, size=200)
    groups = by_confidence(targets, probabilities)
    assert sum(group.n for group in groups) == 200
    gaps = sum(group.n * abs(group.score - group.mean) for group in groups) / 200
    assert gaps == pytest.approx(expected_calibration_error(targets, probabilities))


def test_lengths_are_cut_into_six_groups_of_equal_number():
    lengths = np.arange(12, 0, -1)
    groups = by_length(lengths, lengths <= 3)  # right are the lengths 1, 2 and 3
    assert [(group.smallest, group.largest, group.n) for group in groups] == [
        (1, 2, 2),
        (3, 4, 2),
        (5, 6, 2),
        (7, 8, 2),
        (9, 10, 2),
        (11, 12, 2),
    ]
    assert [group.score for group in groups] == [1, 0.5, 0, 0, 0, 0]


def test_equal_lengths_stay_together():
    lengths = np.array([7] * 50 + [9] * 3)
    groups = by_length(lengths, np.ones(53, dtype=bool))
    assert [(group.smallest, group.largest, group.n) for group in groups] == [(7, 7, 50), (9, 9, 3)]
    assert len(by_length(np.full(5, 60), np.ones(5, dtype=bool))) == 1


def test_interval_of_a_share_is_wilsons():
    z, p, n = 1.959964, 0.8, 10
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert wilson_interval(8, 10) == pytest.approx(
        ((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)), abs=1e-6
    )


def test_interval_of_a_mean_is_students():
    scores = np.array([1.0, 2.5, 4.0, 0.5])
    expected = ttest_1samp(scores, 0).confidence_interval(0.95)
    assert mean_interval(scores) == pytest.approx((expected.low, expected.high))
    assert mean_interval(np.array([3.0])) == (3.0, 3.0)
    errors = np.array([0.1, 5.0])  # Student's interval begins below 0, an error does not
    assert mean_interval(errors)[0] < 0 and mean_interval(errors, (0, np.inf))[0] == 0


def test_numbers_are_averaged_within_groups_of_lengths():
    (short, long) = by_length(np.array([5, 5, 9, 9]), np.array([1.0, 3.0, 0.5, 0.5]))
    assert (short.score, long.score) == (2.0, 0.5)
