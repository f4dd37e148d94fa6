"""Weights of rows: an integer weight is the same as repeating the row, in the loss, its gradient and the metrics."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from plain import PLAIN
from sklearn.model_selection import GridSearchCV

from ostinato import SequenceClassifier, SequenceMultilabelClassifier, SequenceRegressor
from ostinato.errors import DataError
from ostinato.training.loop import backward

TINY = {"embedding_size": 3, "hidden_size": 4, "max_epochs": 1, "device": "cpu", "tokenizer": "nucleotides"}
ALL = {**PLAIN, **TINY, "validation_fraction": None}  # the same layers for any number of rows, no dropout
TEXTS = ["AC", "C", "AAG", "TA", "CCC", "G"]
TARGETS = {
    "classes": ["x", "y", "x", "x", "y", "y"],
    "labels": [["x"], [], ["x", "y"], ["y"], ["x"], ["y"]],
    "numbers": [0.5, 1.0, -2.0, 3.5, 0.0, 7.0],
}
ESTIMATORS = {"classes": SequenceClassifier, "labels": SequenceMultilabelClassifier, "numbers": SequenceRegressor}
weights_of_rows = st.lists(st.integers(0, 4), min_size=6, max_size=6)


def train_split(model, X, y, weights, monkeypatch):
    """What `fit` trains on, its objective, and the untrained network."""
    seen = {}

    def stop(self, config, data, *, objective=None, **options):
        seen.update(config=config.training, data=data.splits["train"])
        seen["objective"] = objective or self.objective(config, data)
        torch.manual_seed(0)
        seen["network"] = self.build(config, data.encoder, data.codec)
        raise KeyboardInterrupt

    monkeypatch.setattr(type(model.task), "fit", stop)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y, sample_weight=weights)
    monkeypatch.undo()
    return seen


def loss_and_gradient(seen):
    network = copy.deepcopy(seen["network"])
    loss, _ = backward(network, [seen["data"]], seen["objective"], seen["config"])
    return loss, torch.cat([each.grad.flatten() for each in network.parameters() if each.grad is not None])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("classes", {}),
        ("classes", {"class_weight": "balanced", "label_smoothing": 0.1}),
        ("classes", {"class_weight": {"x": 3.0}}),
        ("labels", {}),
        ("labels", {"label_weight": "balanced"}),
        ("numbers", {}),
        ("numbers", {"loss": "quantile"}),
    ],
)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(counts=weights_of_rows)
def test_integer_weights_equal_repeated_rows(kind, options, monkeypatch, counts):
    rows = np.repeat(np.arange(6), counts)
    y = TARGETS[kind]
    assume(len({str(y[row]) for row in rows}) > 1)
    model = ESTIMATORS[kind](**ALL, **options)
    weighted = train_split(model, TEXTS, y, counts, monkeypatch)
    repeated = train_split(model, [TEXTS[row] for row in rows], [y[row] for row in rows], None, monkeypatch)
    (loss, gradient), (expected, expected_gradient) = loss_and_gradient(weighted), loss_and_gradient(repeated)
    assert loss == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-6)
    found, wanted = (each["objective"].metrics(each["network"], each["data"]) for each in (weighted, repeated))
    assert found == pytest.approx(wanted, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_each_batch_counts_by_its_weight_and_not_as_a_mean_of_its_own(kind, monkeypatch):
    weights = [100.0, 100.0, 100.0, 1.0, 1.0, 1.0]
    seen = train_split(ESTIMATORS[kind](**ALL), TEXTS, TARGETS[kind], weights, monkeypatch)
    whole = loss_and_gradient(seen)[1]
    parts = [seen["data"].at(torch.tensor(half)) for half in ([0, 1, 2], [3, 4, 5])]
    halves = [loss_and_gradient({**seen, "data": part})[1] for part in parts]
    torch.testing.assert_close(sum(halves) / 2, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_fit_ignores_rows_of_weight_zero_and_the_scale_of_weights(kind):
    X, y = [text + end for end in ("", "A", "C", "G") for text in TEXTS], TARGETS[kind] * 4
    weights = np.array([1.0, 2.0, 0.0, 0.5, 1.0, 0.0] * 4)
    chosen = np.flatnonzero(weights)
    model = ESTIMATORS[kind](**TINY, validation_fraction=0.4)
    first = model.fit(X, y, sample_weight=weights).predict(X)
    validation_loss = model.history_[0]["validation_loss"]
    model.fit([X[row] for row in chosen], [y[row] for row in chosen], sample_weight=(weights * 1024)[chosen])
    assert str(model.predict(X)) == str(first)
    assert model.history_[0]["validation_loss"] == validation_loss


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0] * 5, r"\(5,\)"),
        ([[1.0]] * 6, r"\(6, 1\)"),
        ([1, 1, -2.5, 1, 1, 1], "row 2 is -2.5"),
        ([1, float("nan"), 1, 1, 1, 1], "row 1 is nan"),
        ([1, 1, 1, 1, 1, float("inf")], "row 5 is inf"),
        ([0.0] * 6, "All 6"),
        (["much"] * 6, "much"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(kind, weights, message):
    model = ESTIMATORS[kind](**ALL)
    with pytest.raises(DataError, match=message):
        model.fit(TEXTS, TARGETS[kind], sample_weight=weights)
    model.fit(TEXTS, TARGETS[kind])
    with pytest.raises(DataError, match=message):
        model.score(TEXTS, TARGETS[kind], sample_weight=weights)


def test_grid_search_passes_weights_on():
    search = GridSearchCV(SequenceClassifier(**ALL), {"hidden_size": [2, 4]}, cv=2, error_score="raise")
    search.fit(TEXTS * 2, TARGETS["classes"] * 2, sample_weight=np.arange(1, 13))
    assert search.best_estimator_.score(TEXTS, TARGETS["classes"], sample_weight=[1, 2, 3, 4, 5, 6]) <= 1


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_partial_fit_is_absent(kind):
    assert not hasattr(ESTIMATORS[kind](), "partial_fit")
