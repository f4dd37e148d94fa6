"""Logistic regressions, alone and in the choice of a strength: their values, and what happens when time is over."""

import itertools

import numpy as np
import pytest
import scipy.sparse
from sklearn.linear_model import LogisticRegression

from ostinato.errors import OutOfTimeError
from ostinato.evaluation.baselines import Selection, class_head, fit_on_features, linear_baseline
from ostinato.evaluation.baselines.heads import Examples
from ostinato.evaluation.baselines.logistic import Logistic, fit_logistic


def examples(num_classes, B=90, F=12):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(B, F)) * (rng.random((B, F)) < 0.5)
    classes = (features @ rng.normal(size=(F, num_classes)) + rng.normal(size=(B, num_classes))).argmax(axis=1)
    return features, classes


def countdown(seconds):
    """A clock on which each look takes one second."""
    left = itertools.count(seconds, -1)
    return lambda: float(next(left))


@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_weights_are_those_of_scikit_learn(num_classes, weighted):
    features, classes = examples(num_classes)
    weights = np.random.default_rng(1).uniform(0.5, 2, len(classes)) if weighted else None
    found = fit_logistic(scipy.sparse.csr_array(features), classes, num_classes, weights, 0.7)
    expected = LogisticRegression(C=0.7, tol=1e-8, max_iter=5000).fit(features, classes, weights)
    np.testing.assert_allclose(found.slopes.T, expected.coef_, atol=0.02)
    np.testing.assert_allclose(
        found.intercepts - found.intercepts.mean(), expected.intercept_ - expected.intercept_.mean(), atol=0.02
    )


def test_a_fit_that_begins_at_the_solution_stays_there():
    features, classes = examples(3)
    first = fit_logistic(features, classes, 3, None, 1.0)
    calls = []
    again = fit_logistic(features, classes, 3, None, 1.0, start=first, time_left=lambda: calls.append(0) or 1.0)
    np.testing.assert_allclose(again.slopes, first.slopes, atol=0.01)
    assert len(calls) < 3


def test_a_fit_ends_when_time_is_over_with_the_weights_so_far():
    features, classes = examples(3)

    def loss(fitted: Logistic) -> float:
        logits = features @ fitted.slopes + fitted.intercepts
        return float((np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(classes)), classes]).mean())

    cut = fit_logistic(features, classes, 3, None, 100.0, time_left=countdown(1))
    whole = fit_logistic(features, classes, 3, None, 100.0)
    assert loss(whole) < loss(cut) < np.log(3)


def test_without_time_the_first_strength_is_taken():
    features, classes = examples(2)
    selection = Selection(0, features, classes, time_left=lambda: -1.0)
    known = selection._replace(known={})
    fit_on_features(class_head(2), features, classes, None, known, crossfit=False)
    assert known.known["best"][0] == class_head(2).grid[0]


def test_predictions_for_unseen_rows_are_given_up_as_soon_as_they_would_take_too_long():
    features, classes = examples(2)
    known = {"best": (1.0, class_head(2).fit(1.0, Examples(features, classes), None))}
    looks = []

    def time_left():
        looks.append(0)
        return 20.0 - len(looks)

    with pytest.raises(OutOfTimeError) as error:
        fit_on_features(
            class_head(2), features, classes, None, Selection(0, time_left=time_left, known=known), crossfit=True
        )
    assert len(looks) < 20 and error.value.needed_s > 20
    found = fit_on_features(class_head(2), features, classes, None, Selection(0, known=known), crossfit=True)
    assert found.unseen.shape == (len(classes), 2)


def test_ctrl_c_interrupts_a_fit():
    features, classes = examples(2)

    def time_left():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_logistic(features, classes, 2, None, 1.0, time_left=time_left)


def test_a_baseline_that_runs_out_of_time_says_so():
    texts = ["good film", "bad film", "good plot", "bad plot"] * 5
    classes = np.array([1, 0, 1, 0] * 5)
    found = linear_baseline(texts, classes, texts, classes, kind="text", seed=0, time_left=lambda: -1.0)
    assert "C=0.1" in found.description and "time" in found.description
    assert (found.predict(texts).argmax(axis=1) == classes).all()
    assert "time" not in linear_baseline(texts, classes, texts, classes, kind="text", seed=0).description
