"""SequenceClassifier by scikit-learn's conventions, on every kind of sequence."""

import copy
import inspect
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator

import ostinato
from ostinato import SequenceClassifier
from ostinato.data.inputs import records_of
from ostinato.errors import ConfigError, DataError, NotFittedError, RunError

TINY = {
    "cell": "gru",
    "embedding_size": 4,
    "hidden_size": 6,
    "max_epochs": 6,
    "lr": 3e-2,
    "device": "cpu",
    "batch_size": 8,
}


def strings(n=80, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    return [
        "".join(rng.choice(list("xy"), p=[0.9, 0.1] if label else [0.1, 0.9], size=rng.integers(3, 12)))
        for label in labels
    ], labels.tolist()


@pytest.fixture(scope="module")
def fitted():
    X, y = strings()
    return SequenceClassifier(**TINY, tokenizer="characters").fit(X, ["many" if label else "few" for label in y])


def test_learns_and_its_probabilities_add_up(fitted):
    X, y = strings(seed=1)
    assert fitted.classes_.tolist() == ["few", "many"]
    probabilities = fitted.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert (fitted.classes_[probabilities.argmax(axis=1)] == fitted.predict(X)).all()
    assert fitted.score(X, ["many" if label else "few" for label in y]) > 0.9


def test_predict_orders_answers_as_asked_and_needs_no_batch_mates(fitted):
    X, _ = strings(seed=2)
    together = fitted.predict_proba(X)
    np.testing.assert_allclose(fitted.predict_proba(X[::-1])[::-1], together, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([fitted.predict_proba([x]) for x in X]), together, atol=1e-6)


@pytest.mark.parametrize(
    ("X", "unseen"),
    [
        (["red green", "blue", "red", "blue blue"] * 5, "green red"),
        ([["login", "buy"], ["logout"], ["login"], ["logout", "logout"]] * 5, ["buy", "login"]),
        (
            [np.array([[1.0, 2.0], [1.5, 2.0]]), np.array([[-1.0, -2.0]]), np.ones((3, 2)), -np.ones((2, 2))] * 5,
            np.full((4, 2), 1.2),
        ),
        (pd.Series(["red green", "blue", "red", "blue blue"] * 5), "green red"),
        (np.array(["red green", "blue", "red", "blue blue"] * 5), "green red"),
        (np.stack([np.ones((3, 2)), -np.ones((3, 2))] * 10), np.full((4, 2), 1.2)),
        (np.stack([np.ones(3), -np.ones(3)] * 10), np.full(4, 1.2)),
    ],
    ids=["text", "events", "series", "pandas", "numpy strings", "numpy cube", "numpy table"],
)
def test_takes_text_events_and_series(X, unseen):
    model = SequenceClassifier(**TINY, validation_fraction=None).fit(X, ["a", "b"] * 10)
    assert model.predict([unseen]).tolist() == ["a"]


CONVOLUTIONS = {
    "cnn": {"cell": "cnn", "hidden_size": 16, "kernel_size": 7, "pooling": "max"},
    "deep cnn": {
        "cell": "cnn",
        "hidden_size": 16,
        "kernel_size": 5,
        "num_layers": 2,
        "residual": True,
        "bidirectional": True,
        "pooling": "max",
    },
    "convolution, max-pooling, bilstm": {
        "cell": "lstm",
        "conv_size": 16,
        "kernel_size": 7,
        "conv_pool": 4,
        "hidden_size": 8,
        "bidirectional": True,
        "pooling": ["last", "max"],
    },
}


def with_motif(n, seed):
    """DNA of which half holds GATTACA somewhere."""
    rng = np.random.default_rng(seed)
    sequences = ["".join(rng.choice(list("ACGT"), size=rng.integers(20, 50))) for _ in range(n)]
    places = [rng.integers(len(sequence) - 6) for sequence in sequences]
    holding = [
        f"{each[:place]}GATTACA{each[place + 7 :]}" if row % 2 else each
        for row, (each, place) in enumerate(zip(sequences, places, strict=True))
    ]
    return holding, ["GATTACA" in each for each in holding]


@pytest.mark.parametrize("shape", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolutions_find_a_motif_and_come_back_from_a_file(shape, tmp_path):
    model = SequenceClassifier(
        **shape,
        embedding_size=4,
        tokenizer="nucleotides",
        max_epochs=15,
        validation_fraction=None,
        lr=2e-2,
        device="cpu",
    )
    X, y = with_motif(400, seed=1)
    assert model.fit(*with_motif(400, seed=0)).score(X, y) > 0.9
    model.save(tmp_path / "model.safetensors")
    again = ostinato.load(tmp_path / "model.safetensors")
    given = {key: value for key, value in model.get_params().items() if value != "auto"}
    assert {key: again.get_params()[key] for key in given} == {**given, "device": "auto", "pooling": again.pooling}
    assert again.pooling == ([shape["pooling"]] if isinstance(shape["pooling"], str) else shape["pooling"])
    assert (again.predict_proba(X) == model.predict_proba(X)).all()
    assert (np.concatenate([again.predict_proba([x]) for x in X[:20]]) == again.predict_proba(X)[:20]).all()


@pytest.mark.parametrize(
    "labels",
    [[0, 1], [True, False], [0.5, 1.5], ["x", "y"], [("a", 1), ("b", 2)], [1, "x"], ["a\0", "a"], [-1, 2**63]],
)
def test_any_hashable_label_comes_back(labels):
    model = SequenceClassifier(**TINY, validation_fraction=None).fit(["red", "blue"] * 10, labels * 10)
    assert model.predict(["red", "blue"]).tolist() == labels
    assert set(model.classes_.tolist()) == set(labels)


def test_works_in_cross_validation_grid_search_and_pipelines():
    X, y = strings(40)
    model = SequenceClassifier(**TINY, tokenizer="characters", validation_fraction=None)
    assert cross_val_score(model, X, y, cv=2).mean() > 0.8
    search = GridSearchCV(model, {"cell": ["rnn", "lstm"], "hidden_size": np.array([4, 8])}, cv=2).fit(X, y)
    assert search.best_params_["cell"] in ("rnn", "lstm")
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    pipeline = Pipeline([("lower", lower), ("classify", clone(model))]).fit([x.upper() for x in X], y)
    assert pipeline.score([x.upper() for x in X], y) > 0.8


def test_same_seed_gives_the_same_answer_and_leaves_the_global_generator_alone():
    X, y = strings(40)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, other = (
        SequenceClassifier(**TINY, tokenizer="characters", dropout=0.2, seed=3).fit(X, y).predict_proba(X)
        for _ in range(2)
    )
    assert (one == other).all()
    assert torch.equal(torch.get_rng_state(), before)


def test_saved_and_loaded_answers_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "model.safetensors")
    loaded = ostinato.load(tmp_path / "model.safetensors")
    X, _ = strings(seed=4)
    assert (loaded.predict_proba(X) == fitted.predict_proba(X)).all()
    assert loaded.classes_.tolist() == fitted.classes_.tolist()
    assert loaded.get_params()["hidden_size"] == 6
    loaded.save(tmp_path / "again.safetensors")
    assert (ostinato.load(tmp_path / "again.safetensors").predict_proba(X) == fitted.predict_proba(X)).all()


def test_loading_a_pickle_runs_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was run",))

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(RunError, match="model.safetensors"):
        ostinato.load(path)


def test_vocabulary_comes_from_training_alone():
    model = SequenceClassifier(**TINY, tokenizer="words").fit(
        ["red", "blue"] * 10, ["a", "b"] * 10, validation_data=(["red green"], ["a"])
    )
    assert "green" not in model.encoder_.vocabulary.tokens


def test_class_weight_moves_the_answer():
    X, y = ["red"] * 10, ["a"] * 7 + ["b"] * 3
    X[0] = X[-1] = "blue"
    options = {**TINY, "max_epochs": 40, "validation_fraction": None}
    share = {
        str(weight): SequenceClassifier(**options, class_weight=weight).fit(X, y).predict_proba(["red"])[0, 1]
        for weight in (None, "balanced", {"a": 1, "b": 20})
    }
    assert share["None"] < 0.5 < share["{'a': 1, 'b': 20}"]
    assert share["None"] < share["balanced"] < share["{'a': 1, 'b': 20}"]
    with pytest.raises(ConfigError, match="label 'c'"):
        SequenceClassifier(**options, class_weight={"c": 2}).fit(X, y)


@pytest.mark.parametrize(
    ("X", "y", "fault"),
    [
        ("red", ["a"], "X is the one string 'red'"),
        (["red", "blue"], ["a"], "2 sequences.* 1 target"),
        (["red", "blue"] * 9, ["a"] * 18, "y holds only the class 'a'"),
        (["red", ""] * 9, ["a", "b"] * 9, "sequence 1"),
        ([[1.0, float("nan")], [1.0]] * 9, ["a", "b"] * 9, "sequence 0"),
        (["red", 7] * 9, ["a", "b"] * 9, "sequence 1"),
        ([], [], "no sequence"),
        (None, ["a"], "X is None"),
        (["red"], None, "y is None"),
    ],
)
def test_training_data_that_cannot_be_used_is_refused(X, y, fault):
    with pytest.raises(DataError, match=fault):
        SequenceClassifier(**TINY, validation_fraction=None).fit(X, y)


def test_too_few_rows_to_hold_out_says_what_to_do():
    with pytest.warns(UserWarning, match="validation_fraction=None"):
        SequenceClassifier(**TINY).fit(["red", "blue"], ["a", "b"])


def test_all_faulty_arguments_are_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        SequenceClassifier(cell="lstn", hidden_size=0, lr="fast").fit(["red"], ["a"])
    assert [line.split(":")[1].strip() for line in str(caught.value).splitlines()] == [
        "model.cell",
        "model.hidden_size",
        "training.lr",
    ]


def test_a_loaded_model_has_the_arguments_that_it_was_fitted_with(tmp_path):
    X, y = strings(40)
    options = {"tokenizer": "characters", "pooling": ["mean"], "min_count": 2, "validation_fraction": 0.2, "seed": 3}
    model = SequenceClassifier(**TINY, **options, class_weight={0: 1.0, 1: 3.0}).fit(X, y)
    given = {key: value for key, value in model.get_params().items() if value != "auto"}
    expected = model.predict_proba(X)
    model.set_params(pooling="max").save(tmp_path / "model.safetensors")
    loaded = ostinato.load(tmp_path / "model.safetensors")
    assert (loaded.predict_proba(X) == expected).all()
    found = {key: loaded.get_params()[key] for key in given}
    assert found == {**given, "device": "auto", "class_weight": {"0": 1.0, "1": 3.0}}
    assert (clone(loaded).set_params(device="cpu").fit(X, y).predict_proba(X) == expected).all()


@pytest.mark.parametrize(
    "labels", [[("a", 1), ("b", 2)], ["x", 3], [np.datetime64("2021-01-01"), np.datetime64("2022-01-01")]]
)
def test_any_hashable_label_is_scored(labels):
    model = SequenceClassifier(**TINY, validation_fraction=None).fit(["red", "blue"] * 10, labels * 10)
    assert model.score(["red", "blue", "red"], [*labels, labels[1]]) == pytest.approx(2 / 3)
    assert model.score(["red"], ["never seen"]) == 0


def test_copies_of_a_sequence_are_held_out_together():
    rows = records_of([f"{color} {n}" for n in range(12) for color in ("red", "blue")] * 3, ["a", "b"] * 36, "sequence")
    kept, held = SequenceClassifier(validation_fraction=0.3)._hold_out(rows, seed=0)
    assert len(kept.sequences) + len(held.sequences) == 72
    assert set(kept.sequences).isdisjoint(held.sequences)
    assert set(held.targets) == {"a", "b"}


@pytest.mark.parametrize("seed", range(3))
def test_faults_are_named_by_the_row_that_was_given(seed):
    X, y = strings(40)
    X[20] = ""
    with pytest.raises(DataError, match="^sequence 20"):
        SequenceClassifier(**TINY, tokenizer="characters", seed=seed).fit(X, y)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"validation_fraction": 0}, "validation_fraction 0"),
        ({"validation_fraction": -0.1}, "-0.1"),
        ({"class_weight": {0: -1}}, '"0": -1'),
        ({"class_weight": {0: float("nan")}}, '"0": NaN'),
        ({"class_weight": [1, 2]}, "class_weight"),
        ({"pooling": ["mean", "mean"]}, "names a pooling twice"),
    ],
)
def test_arguments_that_cannot_work_are_refused(options, fault):
    with pytest.raises(ConfigError, match=fault):
        SequenceClassifier(**{**TINY, "tokenizer": "characters", **options}).fit(*strings(40))


def test_validation_data_are_checked_as_training_data_are():
    X, y = strings(40)
    with pytest.raises(DataError, match="2 sequences.* 1 target"):
        SequenceClassifier(**TINY).fit(X, y, validation_data=(X[:2], y[:1]))
    with pytest.raises(DataError, match="validation sequence 0"):
        SequenceClassifier(**TINY, tokenizer="characters").fit(X, y, validation_data=([""], [0]))


def test_tables_and_columns_of_labels_are_refused_with_the_way_out(fitted):
    with pytest.raises(DataError, match=r"as X\['text'\]"):
        fitted.predict(pd.DataFrame({"a": ["xy"]}))
    with pytest.raises(DataError, match=r"y.ravel\(\)"):
        SequenceClassifier(**TINY).fit(["red", "blue"], np.array([["a"], ["b"]]))


def test_numbers_too_large_for_float32_are_refused():
    model = SequenceClassifier(**TINY, validation_fraction=None).fit([np.ones(3), -np.ones(3)] * 10, ["a", "b"] * 10)
    with pytest.raises(DataError, match=r"sequence 1.*1e\+300"):
        model.predict([np.ones(3), np.array([1e300, 1.0])])


def test_asking_before_fit_is_refused():
    with pytest.raises(NotFittedError, match=r"Call fit\(X, y\) first"):
        SequenceClassifier().predict(["red"])
    with pytest.raises(NotFittedError, match="SequenceClassifier"):
        SequenceClassifier().save("x")


def test_empty_sequences_are_refused_and_unknown_ones_warned_of(fitted):
    with pytest.raises(DataError, match="sequence 1"):
        fitted.predict(["xy", ""])
    with pytest.warns(UserWarning, match="sequence 1"):
        fitted.predict(["xy", "zzz"])


# Validation rows, patience and calibration are three settings


def test_without_patience_rows_are_still_held_out_and_the_temperature_is_fitted():
    X, y = strings(60)
    model = SequenceClassifier(**TINY, tokenizer="characters", patience=None).fit(X, y)
    assert model.n_iter_ == TINY["max_epochs"]
    assert all("validation_loss" in entry for entry in model.history_)
    assert model.model_.temperature != 1


def test_without_validation_rows_nothing_is_held_out_or_calibrated():
    X, y = strings(60)
    model = SequenceClassifier(**{**TINY, "max_epochs": 3}, tokenizer="characters", validation_fraction=None).fit(X, y)
    assert model.n_iter_ == 3
    assert not any("validation_loss" in entry for entry in model.history_)
    assert model.model_.temperature == 1


def test_without_calibration_probabilities_are_the_softmax_of_the_same_network():
    X, y = strings(60)
    plain = SequenceClassifier(**TINY, tokenizer="characters", calibrate=False).fit(X, y)
    calibrated = SequenceClassifier(**TINY, tokenizer="characters").fit(X, y)
    assert plain.model_.temperature == 1
    logits = np.log(plain.predict_proba(X)) / float(calibrated.model_.temperature)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(calibrated.predict_proba(X), expected, rtol=1e-4)
    assert plain.history_[0]["validation_loss"] == calibrated.history_[0]["validation_loss"]


# scikit-learn's conventions


def test_random_state_replaces_the_seed():
    X, y = strings(40)
    options = {**TINY, "max_epochs": 1, "tokenizer": "characters"}
    expected = SequenceClassifier(**options, seed=7).fit(X, y).predict_proba(X)
    for state in (7, np.int64(7)):
        assert (SequenceClassifier(**options, random_state=state).fit(X, y).predict_proba(X) == expected).all()
    drawn = [
        SequenceClassifier(**options, random_state=make(3)).fit(X, y).predict_proba(X)
        for make in (np.random.RandomState, np.random.RandomState, np.random.default_rng, np.random.default_rng)
    ]
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[2] == drawn[3]).all()
    assert (drawn[0] != expected).any()


@pytest.mark.parametrize("state", [-1, "7", 1.5, True])
def test_a_random_state_of_another_kind_is_refused(state):
    with pytest.raises(ConfigError, match=repr(state)):
        SequenceClassifier(**TINY, random_state=state).fit(*strings(40))


NOT_FOR_SEQUENCES = {
    "check_n_features_in": "sequences have no fixed number of features",
    "check_n_features_in_after_fitting": "sequences have no fixed number of features",
    "check_classifiers_train": "expects an error for sequences of another length",
    "check_fit2d_1sample": "refuses a single row with a sentence of its own",
    "check_fit2d_predict1d": "refuses numbers in place of sequences with a sentence of its own",
    "check_complex_data": "refuses complex numbers with a sentence of its own",
    "check_dtype_object": "refuses objects with a sentence of its own",
    "check_estimators_empty_data_messages": "refuses empty data with a sentence of its own",
    "check_estimators_nan_inf": "refuses NaN and infinity with a sentence of its own",
    "check_classifier_data_not_an_array": "a table is not a list of sequences",
    "check_classifiers_regression_target": "any hashable label is a class, a float too",
    "check_sample_weights_pandas_series": "a table is not a list of sequences",
    "check_sample_weight_equivalence_on_dense_data": "repeated rows make other batches",
    "check_supervised_y_2d": "refuses a column of labels and names y.ravel()",
}


@pytest.mark.skipif("on_fail" not in inspect.signature(check_estimator).parameters, reason="needs scikit-learn 1.6")
@pytest.mark.filterwarnings("ignore:.*:sklearn.exceptions.SkipTestWarning", "ignore:Estimator's parameters")
def test_scikit_learn_s_own_checks_pass():
    model = SequenceClassifier(**{**TINY, "max_epochs": 2}, validation_fraction=None)
    results = check_estimator(model, on_fail=None, on_skip=None, expected_failed_checks=NOT_FOR_SEQUENCES)
    assert {result["check_name"]: str(result["exception"]) for result in results if result["status"] == "failed"} == {}
    failed = {result["check_name"] for result in results if result["status"] == "xfail"}
    assert failed == set(NOT_FOR_SEQUENCES)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("cell", ["rnn", "gru", "minlstm", "lnlstm", "cnn"])
def test_copies_and_pickles_keep_arguments_and_answers(copied, cell):
    X, y = strings(40)
    options = {**TINY, "max_epochs": 1, "cell": cell, "pooling": "mean"}
    model = SequenceClassifier(**options, tokenizer="characters")
    assert copied(model).get_params() == model.get_params()
    again = copied(model.fit(X, y))
    assert (again.predict_proba(X) == model.predict_proba(X)).all()
    assert again.fit(X, y).history_[0]["train_loss"] == model.history_[0]["train_loss"]


def test_a_clone_of_a_fitted_or_loaded_model_is_not_fitted_and_has_its_arguments(fitted, tmp_path):
    fitted.save(tmp_path / "model.safetensors")
    for model in (fitted, ostinato.load(tmp_path / "model.safetensors")):
        again = clone(model)
        assert again.get_params() == model.get_params()
        with pytest.raises(SklearnNotFittedError):
            again.predict(["xy"])
