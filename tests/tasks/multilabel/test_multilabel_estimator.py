import numpy as np
import pytest
import torch
from letter_rows import draw_rows, indicator
from scipy import sparse
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV

import ostinato
from ostinato import SequenceMultilabelClassifier
from ostinato.errors import ConfigError, DataError, NotFittedError


def test_indicator_matrix_in_indicator_matrix_out(fitted):
    X, labels = draw_rows(100, seed=1)
    predicted = fitted.predict(X)
    assert predicted.dtype == np.int64
    assert (predicted == indicator(labels)).mean() > 0.97
    assert np.array_equal(fitted.classes_, [0, 1, 2])


def test_predictions_are_probabilities_at_their_thresholds(fitted):
    X, _ = draw_rows(50, seed=2)
    assert np.array_equal(fitted.predict(X), (fitted.predict_proba(X) >= fitted.thresholds_).astype(int))


def test_score_is_subset_accuracy(fitted):
    X, labels = draw_rows(80, seed=3)
    y = indicator(labels)
    y[::3, 0] = 1 - y[::3, 0]
    assert fitted.score(X, y) == pytest.approx(accuracy_score(y, fitted.predict(X)))
    weights = np.arange(80)
    expected = accuracy_score(y, fitted.predict(X), sample_weight=weights)
    assert fitted.score(X, y, sample_weight=weights) == pytest.approx(expected)


def test_label_sets_in_label_sets_out_with_the_same_weights(letters, make_model, fitted):
    X, labels = letters
    model = make_model().fit(X, [set(row) for row in labels])
    found = model.predict(X)
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert all(isinstance(row, tuple) for row in found)
    assert np.array_equal(indicator(found), fitted.predict(X))
    assert model.score(X, labels) == pytest.approx(fitted.score(X, indicator(labels)))


def test_sparse_matrix_trains_as_a_dense_one(letters, make_model, fitted):
    X, labels = letters
    model = make_model().fit(X, sparse.csr_matrix(indicator(labels)))
    assert np.array_equal(model.predict_proba(X[:20]), fitted.predict_proba(X[:20]))


def test_label_names_are_the_classes(letters, make_model):
    X, labels = letters
    model = make_model(label_names=["p", "q", "r"], max_epochs=1).fit(X, indicator(labels))
    assert model.classes_.tolist() == ["p", "q", "r"]
    assert model.predict(X[:2]).shape == (2, 3)


def test_label_that_training_never_has_keeps_its_column(letters, make_model):
    X, labels = letters
    y = np.column_stack([indicator(labels), np.zeros(len(X), dtype=int)])
    model = make_model().fit(X, y)
    assert model.predict_proba(X[:5]).shape == (5, 4)
    assert not model.predict(X)[:, 3].any()


def test_unknown_label_counts_as_wrong_in_the_score(letters, make_model):
    X, labels = letters
    model = make_model(max_epochs=1).fit(X, labels)
    assert model.score(X[:4], [("new",)] * 4) == 0


def test_validation_rows_pick_thresholds_and_none_leaves_a_half(letters, make_model):
    X, labels = letters
    model = make_model(validation_fraction=None, max_epochs=2).fit(X, labels)
    assert model.thresholds_.tolist() == [0.5, 0.5, 0.5]
    assert "validation_loss" not in model.history_[0]
    unsure = make_model(max_epochs=1, lr=1e-4)  # far from separating the labels at 0.5
    other = unsure.fit(X[:300], labels[:300], validation_data=(X[300:], labels[300:]))
    assert {"validation_loss", "validation_micro_f1", "validation_macro_f1"} <= other.history_[0].keys()
    assert other.thresholds_.tolist() != [0.5, 0.5, 0.5]


def test_patience_stops_training(letters, make_model):
    X, labels = letters
    model = make_model(max_epochs=40, patience=1, lr=1e-7).fit(X, labels)
    constant = make_model(max_epochs=4, patience=None, lr=1e-7).fit(X, labels)
    assert model.n_iter_ <= 40
    assert constant.n_iter_ == 4


def test_saved_model_predicts_the_same(fitted, tmp_path):
    X, labels = draw_rows(30, seed=4)
    fitted.save(tmp_path / "model.safetensors")
    again = ostinato.load(tmp_path / "model.safetensors")
    assert isinstance(again, SequenceMultilabelClassifier)
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert np.array_equal(again.predict(X), fitted.predict(X))
    assert np.array_equal(again.thresholds_, fitted.thresholds_)
    assert again.score(X, indicator(labels)) == fitted.score(X, indicator(labels))


def test_answer_does_not_depend_on_batch_mates(fitted):
    X, _ = draw_rows(40, seed=5)
    alone = np.concatenate([fitted.predict_proba([text]) for text in X])
    assert np.array_equal(fitted.predict_proba(X), alone)


def test_grid_search_runs_on_an_indicator_matrix(letters, make_model):
    X, labels = letters
    search = GridSearchCV(make_model(max_epochs=2), {"hidden_size": [4, 8]}, cv=2, scoring="f1_micro", n_jobs=1)
    search.fit(np.array(X[:120]), indicator(labels[:120]))
    assert search.best_params_["hidden_size"] in (4, 8)
    assert clone(search.best_estimator_).get_params() == search.best_estimator_.get_params()


def test_same_seed_trains_the_same_weights(letters, make_model):
    X, labels = letters
    first, second = (make_model(max_epochs=2).fit(X, labels).model_.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_wrong_arguments_are_named_all_at_once():
    with pytest.raises(ConfigError, match="label_weight") as raised:
        SequenceMultilabelClassifier(label_weight="heavy", thresholds="best").fit(["a", "b"], [["x"], []])
    assert "thresholds" in str(raised.value)


def test_rows_that_all_have_the_same_labels_are_refused(make_model):
    with pytest.raises(DataError, match="'a'"):
        make_model(validation_fraction=None).fit(["x", "y"], [["a"], ["a"]])


def test_number_of_rows_must_match(fitted):
    with pytest.raises(DataError, match=r"2 sequences.*1"):
        fitted.score(["ab", "c"], indicator([("a",)]))


def test_prediction_before_fit_is_refused():
    with pytest.raises(NotFittedError, match="SequenceMultilabelClassifier"):
        SequenceMultilabelClassifier().predict(["a"])


def test_any_label_can_be_explained(letters, make_model):
    X, labels = letters
    model = make_model().fit(X, labels)
    (default,) = ostinato.explain(model, ["uavwxy"])
    assert default.label == "a"
    for label in "abc":
        (found,) = ostinato.explain(model, ["uavbwy"], label=label)
        assert found.label == label
        assert found.probability == pytest.approx(model.predict_proba(["uavbwy"])[0, "abc".index(label)])
    (found,) = ostinato.explain(model, ["uavbwy"], label="b")
    assert found.tokens[int(found.scores.argmax())] == "b"
    with pytest.raises(ConfigError, match="'d'"):
        ostinato.explain(model, ["ab"], label="d")
