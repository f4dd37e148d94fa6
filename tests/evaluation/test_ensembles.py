"""The weights of an ensemble's members have the lowest loss of all weights."""

import numpy as np
import pytest

from ostinato.errors import ConfigError
from ostinato.evaluation.ensembles import averaging_weights, mixture_weights

GRID = [np.array([a, b, 100 - a - b]) / 100 for a in range(101) for b in range(101 - a)]


def log_loss(weights, likelihoods):
    return -np.log(weights @ likelihoods).mean()


def squared_error(weights, predictions, targets):
    return np.square(weights @ predictions - targets).mean()


@pytest.mark.parametrize("seed", range(3))
def test_mixture_weights_have_the_lowest_log_loss_of_a_grid(seed):
    likelihoods = np.random.default_rng(seed).beta([[2], [3], [1]], 2, size=(3, 200))
    found = mixture_weights(likelihoods)
    assert found.sum() == pytest.approx(1) and (found >= 0).all()
    assert log_loss(found, likelihoods) <= min(log_loss(each, likelihoods) for each in GRID) + 1e-9


def test_a_member_that_is_always_better_gets_all_weight():
    assert mixture_weights(np.array([[0.9, 0.8], [0.5, 0.5]])) == pytest.approx([1, 0], abs=1e-6)


def test_one_impossible_row_does_not_rule_out_a_member():
    likelihoods = np.full((2, 100), [[0.9], [0.5]])
    likelihoods[0, 0] = 0
    assert mixture_weights(likelihoods)[0] > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_averaging_weights_have_the_lowest_error_of_a_grid(seed):
    rng = np.random.default_rng(seed)
    targets = 1e4 * rng.standard_normal(200)
    predictions = targets + 1e4 * rng.standard_normal((3, 200)) * [[0.5], [0.7], [2.0]]
    found = averaging_weights(predictions, targets)
    best = min(squared_error(each, predictions, targets) for each in GRID)
    assert found.sum() == pytest.approx(1) and (found >= 0).all()
    assert squared_error(found, predictions, targets) <= best * (1 + 1e-6)


@pytest.mark.parametrize("fit", [mixture_weights, lambda each: averaging_weights(each, np.empty(0))])
def test_no_rows_are_refused(fit):
    with pytest.raises(ConfigError, match="validation rows"):
        fit(np.empty((2, 0)))
