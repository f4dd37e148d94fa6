"""Ridge regressions by one decomposition, compared with scikit-learn, and with fits that leave a row out."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from ostinato.evaluation.baselines import ridge, ridge_classes, ridge_labels, ridge_numbers

rng = np.random.default_rng(0)
SHAPES = [(12, 30), (40, 5)]  # fewer and more rows than features


def problem(rows, features):
    X = rng.normal(size=(rows, features))
    y = X[:, :2] @ np.array([[1.0, 0.0], [0.5, -2.0]]) + rng.normal(size=(rows, 2)) * 0.3 + 4
    return X, y


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("is_weighted", [False, True])
def test_numbers_are_scikit_learns_ridge_regression(shape, is_weighted, monkeypatch):
    monkeypatch.setattr(ridge, "ALPHAS", np.array([2.0]))
    X, y = problem(*shape)
    weights = rng.uniform(0.5, 2, size=len(X)) if is_weighted else None
    if is_weighted:
        weights /= weights.mean()
    found = ridge_numbers(X, y, weights)
    expected = Ridge(alpha=2.0).fit(X, y, weights)
    np.testing.assert_allclose(found.model.outputs(X), expected.predict(X), atol=1e-8)


def unseen_by_fits(X, y, alpha):
    """Fit without each row; the features stay centred by all rows, as they are standardised by all rows."""
    joined = np.hstack([X - X.mean(axis=0), np.ones((len(X), 1))])
    penalty = np.diag([alpha] * X.shape[1] + [0.0])
    predicted = []
    for row in range(len(X)):
        others = joined[np.arange(len(X)) != row]
        solved = np.linalg.solve(others.T @ others + penalty, others.T @ np.delete(y, row, axis=0))
        predicted.append(joined[row] @ solved)
    return np.array(predicted)


@pytest.mark.parametrize("shape", SHAPES)
def test_unseen_predictions_are_those_of_fits_without_the_row(shape, monkeypatch):
    monkeypatch.setattr(ridge, "ALPHAS", np.array([2.0]))
    X, y = problem(*shape)
    np.testing.assert_allclose(ridge_numbers(X, y, None).unseen, unseen_by_fits(X, y, 2.0), atol=1e-7)


def test_the_strength_with_the_lowest_unseen_error_is_used(monkeypatch):
    alphas = np.array([0.01, 3.0, 100.0, 10_000.0])
    monkeypatch.setattr(ridge, "ALPHAS", alphas)
    X, y = problem(30, 10)
    y += rng.normal(size=y.shape) * 4
    best = min(alphas, key=lambda alpha: ((unseen_by_fits(X, y, alpha) - y) ** 2).sum())
    assert best not in (alphas[0], alphas[-1])
    np.testing.assert_allclose(
        ridge_numbers(X, y, None).model.outputs(X), Ridge(alpha=best).fit(X, y).predict(X), atol=1e-8
    )


def test_classes_are_separated_and_probabilities_are_honest():
    X = rng.normal(size=(300, 4))
    y = (X[:, 0] + rng.normal(size=300) > 0).astype(int)
    found = ridge_classes(X, y, 2, None)
    new = rng.normal(size=(3000, 4))
    truth = new[:, 0] + rng.normal(size=3000) > 0
    predicted = found.model.predict(new)[:, 1]
    assert np.mean((predicted > 0.5) == truth) > 0.72
    assert abs(np.maximum(predicted, 1 - predicted).mean() - np.mean((predicted > 0.5) == truth)) < 0.06


def test_rows_of_weight_near_zero_do_not_count():
    X = rng.normal(size=(60, 3))
    y = (X[:, 0] > 0).astype(int)
    flipped = np.where(np.arange(60) < 30, y, 1 - y)
    weights = np.where(np.arange(60) < 30, 1.0, 1e-9)
    found = ridge_classes(X, flipped, 2, weights)
    assert np.mean(found.model.predict(X).argmax(axis=1) == y) > 0.85


def test_each_label_is_fitted_by_itself():
    X = rng.normal(size=(80, 5))
    y = np.stack([X[:, 0] > 0, X[:, 1] > 0], axis=1).astype(int)
    both = ridge_labels(X, y, np.ones(y.shape))
    for label in range(2):
        alone = ridge_labels(X, y[:, label : label + 1], np.ones((80, 1)))
        np.testing.assert_allclose(both.model.predict(X)[:, label], alone.model.predict(X)[:, 0])
        assert np.mean((alone.model.predict(X)[:, 0] > 0.5) == y[:, label]) > 0.9
