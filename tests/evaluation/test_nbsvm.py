import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from ostinato.errors import DataError
from ostinato.evaluation.baselines import nbsvm
from ostinato.evaluation.baselines.heads import Examples
from ostinato.evaluation.baselines.nbsvm import (
    log_ratio,
    nbsvm_baseline,
    nbsvm_classes,
    nbsvm_labels,
    nbsvm_problem,
)


def test_log_ratio_is_that_of_counts_by_hand():
    encoded = csr_matrix(np.array([[1, 0], [1, 1], [0, 1], [0, 1]], dtype=np.float32))
    # rows of the class have the features 2 and 1 times, the others 0 and 2 times; one is added to each
    expected = np.log([(3 / 5) / (1 / 4), (2 / 5) / (3 / 4)])
    assert log_ratio(encoded, np.array([True, True, False, False])) == pytest.approx(expected)


def test_weight_of_two_counts_as_two_rows():
    encoded = csr_matrix(np.eye(3, dtype=np.float32))
    twice = log_ratio(encoded[[0, 0, 1, 2]], np.array([True, True, True, False]))
    assert log_ratio(encoded, np.array([True, True, False]), np.array([2.0, 1.0, 1.0])) == pytest.approx(twice)


def binary(rows, columns, seed):
    return csr_matrix((np.random.default_rng(seed).random((rows, columns)) < 0.4).astype(np.float32))


def test_two_classes_are_a_logistic_regression_of_scaled_features():
    encoded = binary(60, 8, 0)
    targets = np.asarray(encoded[:, 0].todense()).ravel().astype(int)
    scaled = encoded.multiply(log_ratio(encoded, targets == 1)).tocsr()
    expected = LogisticRegression(C=1.0).fit(scaled, targets).predict_proba(scaled)
    model = nbsvm_classes(2).fit(1.0, Examples(encoded, targets), None)
    assert model.predict(encoded) == pytest.approx(expected, abs=1e-5)
    outputs = model.outputs(encoded)
    assert outputs[:, 1] - outputs[:, 0] == pytest.approx(np.log(expected[:, 1] / expected[:, 0]), abs=1e-4)


def test_each_of_three_classes_is_told_from_the_others():
    encoded = csr_matrix(np.repeat(np.eye(3, dtype=np.float32), 10, axis=0))
    targets = np.repeat([0, 1, 2], 10)
    probabilities = nbsvm_classes(3).fit(10.0, Examples(encoded, targets), None).predict(encoded)
    assert (probabilities.argmax(axis=1) == targets).all()
    assert probabilities.sum(axis=1) == pytest.approx(1)


def test_class_without_examples_has_the_probability_0():
    encoded, targets = binary(40, 6, 2), np.repeat([0, 2], 20)
    predicted = nbsvm_classes(3).fit(1.0, Examples(encoded, targets), None).predict(encoded)
    assert (predicted[:, 1] == 0).all() and predicted.sum(axis=1) == pytest.approx(1)


def test_labels_are_fitted_one_by_one_and_constant_ones_keep_their_value():
    encoded = binary(40, 6, 1)
    flags = np.asarray(encoded[:, :2].todense()).astype(int)
    targets = np.column_stack([flags, np.ones(40, int), np.zeros(40, int)])
    predicted = nbsvm_labels(4).fit(10.0, Examples(encoded, targets), None).predict(encoded)
    assert ((predicted >= 0.5) == (targets == 1)).all() and (predicted[:, 2:] == targets[:, 2:]).all()
    one = nbsvm_classes(2).fit(10.0, Examples(encoded, flags[:, 0]), None).predict(encoded)[:, 1]
    assert predicted[:, 0] == pytest.approx(one)


@pytest.mark.parametrize(
    ("head", "shape"), [(nbsvm_classes(2), 40), (nbsvm_classes(3), 40), (nbsvm_labels(2), (40, 2))]
)
def test_weights_of_two_give_the_model_of_repeated_rows(head, shape):
    encoded, rng = binary(40, 6, 3), np.random.default_rng(3)
    weights, targets = rng.integers(1, 3, 40), rng.integers(0, head.outputs, shape)
    rows = np.repeat(np.arange(40), weights)
    expected = head.fit(1.0, Examples(encoded[rows], targets[rows]), None).predict(encoded)
    own = weights if targets.ndim == 1 else np.stack([weights, weights], axis=1)
    assert head.fit(1.0, Examples(encoded, targets, own), None).predict(encoded) == pytest.approx(expected, abs=1e-3)


def test_a_negated_word_is_learned_from_pairs_of_words():
    texts = ["not good at all", "very good indeed", "not bad at all", "very bad indeed"] * 10
    targets = np.array([0, 1, 1, 0] * 10)
    words = [text.split() for text in texts]
    model = nbsvm_baseline(words, targets, None, None, kind="events", seed=0)
    assert model.predict([["not", "good"], ["not", "bad"]]).argmax(axis=1).tolist() == [0, 1]


def test_large_problems_are_refused(monkeypatch):
    assert nbsvm_problem(["abc"], 2) is None
    assert "21 classes" in nbsvm_problem(["abc"], 21)
    monkeypatch.setattr(nbsvm, "MOST_SIZE", 5)
    assert "6 characters" in nbsvm_problem(["abc", "def"], 2)


def test_nbsvm_of_labels_is_nbsvm_of_each_label_at_the_chosen_strength():
    rng = np.random.default_rng(4)
    words = [list(rng.choice(list("abcdef"), size=5)) for _ in range(60)]
    targets = np.array([["a" in each, "b" in each] for each in words], dtype=np.int64)
    model = nbsvm_baseline(words[:40], targets[:40], words[40:], targets[40:], kind="events", seed=0)
    strength = float(model.description.rpartition("=")[2])
    encoded = model.features.transform(words)
    for label in range(2):
        one = nbsvm_classes(2).fit(strength, Examples(encoded[:40], targets[:40, label]), None)
        assert model.predict(words[40:])[:, label] == pytest.approx(one.predict(encoded[40:])[:, 1])


def test_nbsvm_of_labels_refuses_labels_that_do_not_vary():
    with pytest.raises(DataError, match=r"\[1, 0\]"):
        nbsvm_baseline([["a"], ["b"], ["c"]], np.array([[1, 0]] * 3), None, None, kind="events", seed=0)
