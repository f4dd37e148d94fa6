"""Wide models: they start as the fitted linear model, and are saved, resumed and refused like all others."""

import numpy as np
import pytest
import torch
from plain import PLAIN
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

from ostinato import SequenceClassifier, SequenceMultilabelClassifier, SequenceRegressor, load
from ostinato.config import SequenceModel
from ostinato.data.inputs import records_of
from ostinato.errors import ConfigError, RunError
from ostinato.storage import load_tensors, save_tensors
from ostinato.tasks.records import TaskData
from ostinato.tasks.sequences.prepare import encode, fit_encoder

rng = np.random.default_rng(0)
TEXTS = [" ".join(rng.choice(list("abcdefgh"), size=rng.integers(3, 12))) for _ in range(90)]
LABELS = [("yes" if text.count("a") > text.count("b") else "no") for text in TEXTS]
SERIES = [rng.normal(size=(length, 2)).cumsum(axis=0) for length in rng.integers(10, 30, size=90)]
RISES = [int(each[-1, 0] > each[0, 0]) for each in SERIES]
LINEAR = {"cell": "none", "wide": "ngrams", "tokenizer": "words", "validation_fraction": None, "calibrate": False}
DEEP = {
    **SequenceModel.OLD_DEFAULTS,
    "cell": "gru",
    "hidden_size": 5,
    "embedding_size": 4,
    "wide": "ngrams",
    "tokenizer": "words",
    "batch_size": 32,
}
ON_SERIES = {**DEEP, "wide": "kernels", "tokenizer": "numeric"}


def tfidf(texts):
    vectorizer = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), sublinear_tf=True)
    return vectorizer, vectorizer.fit_transform(texts)


def test_a_linear_classifier_is_scikit_learns_logistic_regression(monkeypatch):
    monkeypatch.setattr("ostinato.evaluation.baselines.heads.C_GRID", (3.0,))
    model = SequenceClassifier(**LINEAR).fit(TEXTS, LABELS)
    vectorizer, features = tfidf(TEXTS)
    expected = LogisticRegression(C=3.0).fit(features, LABELS).predict_proba(vectorizer.transform(TEXTS[:20]))
    np.testing.assert_allclose(model.predict_proba(TEXTS[:20]), expected, atol=2e-3)  # the solver's tolerance
    assert model.n_iter_ == 0 and [entry["epoch"] for entry in model.history_] == [0]


def test_three_classes_are_scikit_learns_logistic_regression(monkeypatch):
    monkeypatch.setattr("ostinato.evaluation.baselines.heads.C_GRID", (3.0,))
    labels = [text[0] if text[0] in "ab" else "c" for text in TEXTS]
    model = SequenceClassifier(**LINEAR).fit(TEXTS, labels)
    _, features = tfidf(TEXTS)
    expected = LogisticRegression(C=3.0).fit(features, labels).predict_proba(features)
    np.testing.assert_allclose(model.predict_proba(TEXTS), expected, atol=2e-3)


def test_a_linear_regressor_is_scikit_learns_ridge_regression(monkeypatch):
    monkeypatch.setattr("ostinato.evaluation.baselines.heads.ALPHA_GRID", (0.5,))
    y = np.array([text.count("a") * 100.0 + 7 for text in TEXTS])
    model = SequenceRegressor(cell="none", wide="ngrams", tokenizer="words", validation_fraction=None).fit(TEXTS, y)
    _, features = tfidf(TEXTS)
    expected = Ridge(alpha=0.5).fit(features, y).predict(features)
    np.testing.assert_allclose(model.predict(TEXTS), expected, rtol=0.01, atol=0.1)


def test_a_linear_multilabel_classifier_has_a_logistic_regression_per_label(monkeypatch):
    monkeypatch.setattr("ostinato.evaluation.baselines.heads.C_GRID", (3.0,))
    y = np.array([["a" in text, "b" in text, True] for text in TEXTS]).astype(int)
    linear = {"cell": "none", "wide": "ngrams", "validation_fraction": None}
    model = SequenceMultilabelClassifier(**linear).fit(TEXTS, y)
    _, features = tfidf(TEXTS)
    for label in range(2):
        expected = LogisticRegression(C=3.0).fit(features, y[:, label]).predict_proba(features)[:, 1]
        np.testing.assert_allclose(model.predict_proba(TEXTS)[:, label], expected, atol=2e-3)
    assert (model.predict_proba(TEXTS)[:, 2] > 0.999).all()


def test_quantiles_start_as_the_prediction_and_the_quantiles_of_its_errors():
    y = np.array([text.count("a") + rng.normal() for text in TEXTS])
    model = SequenceRegressor(
        cell="none",
        wide="ngrams",
        tokenizer="words",
        loss="quantile",
        quantiles=[0.1, 0.5, 0.8],
        validation_fraction=None,
    ).fit(TEXTS, y)
    quantiles = model.predict_quantiles(TEXTS)
    for column, level in enumerate((0.1, 0.5, 0.8)):
        assert abs(float((y <= quantiles[:, 0, column]).mean()) - level) < 0.02


def test_a_deep_network_starts_as_the_linear_model():
    linear = SequenceClassifier(**LINEAR).fit(TEXTS, LABELS)
    deep = SequenceClassifier(**{**LINEAR, **DEEP}, max_epochs=1, lr=1e-12).fit(TEXTS, LABELS)
    np.testing.assert_allclose(deep.predict_proba(TEXTS), linear.predict_proba(TEXTS), atol=1e-5)


def test_the_start_is_used_if_training_makes_validation_worse():
    fit = {"validation_data": (TEXTS[60:], LABELS[60:])}
    linear = SequenceClassifier(cell="none", wide="ngrams", tokenizer="words").fit(TEXTS[:60], LABELS[:60], **fit)
    deep = SequenceClassifier(**DEEP, max_epochs=2, lr=0.5, schedule="constant", max_grad_norm=None)
    deep.fit(TEXTS[:60], LABELS[:60], **fit)
    losses = [entry["validation_loss"] for entry in deep.history_]
    assert losses[0] == min(losses)
    np.testing.assert_allclose(deep.predict_proba(TEXTS), linear.predict_proba(TEXTS), atol=1e-6)


def test_words_that_are_spelled_alike_share_weights(monkeypatch):
    monkeypatch.setattr("ostinato.evaluation.baselines.heads.C_GRID", (0.1,))
    stems = ["".join(rng.choice(list("bcdf"), size=6)) for _ in range(100)]
    words = [stem + ("ing" if row % 2 else "ed") for row, stem in enumerate(stems)]
    right = np.array(["x" if word.endswith("ing") else "y" for word in words])
    given = np.where(np.arange(100) < 10, np.where(right == "x", "y", "x"), right)  # the first ten are wrong
    corrected = [
        (SequenceClassifier(**LINEAR, wide_letters=letters).fit(words, given).predict(words)[:10] == right[:10]).sum()
        for letters in (0, 4)
    ]
    assert corrected == [0, 10]  # a word alone has nothing but its own label; its ending has those of others


def test_the_layers_learn_beside_the_linear_model():
    model = SequenceClassifier(**DEEP, max_epochs=30, lr=0.02, validation_fraction=None).fit(TEXTS, LABELS)
    assert model.history_[-1]["train_loss"] < 0.7 * model.history_[0]["train_loss"]
    assert model.model_.head.weight.abs().max() > 0


@pytest.mark.parametrize("options", [{}, {"wide_letters": 3, "wide_ends": True}])
def test_a_saved_model_gives_the_same_bits(tmp_path, options):
    model = SequenceClassifier(**DEEP, **options, max_epochs=1).fit(TEXTS, LABELS)
    model.save(tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    assert np.array_equal(loaded.predict_proba(TEXTS), model.predict_proba(TEXTS))


@pytest.mark.parametrize("options", [{}, {"wide_letters": 3, "wide_ends": True}])
def test_the_answer_does_not_depend_on_the_batch(options):
    model = SequenceClassifier(**DEEP, **options, max_epochs=1).fit(TEXTS, LABELS)
    together = model.predict_proba(TEXTS)
    assert all(np.array_equal(model.predict_proba([text])[0], row) for text, row in zip(TEXTS, together, strict=True))


def test_weights_of_rows_and_classes_count_in_the_start():
    light = SequenceClassifier(**LINEAR, class_weight={"yes": 0.001}).fit(TEXTS, LABELS)
    assert set(light.predict(TEXTS)) == {"no"}
    weights = np.where(np.array(LABELS) == "yes", 0.001, 1.0)
    by_row = SequenceClassifier(**LINEAR).fit(TEXTS, LABELS, sample_weight=weights)
    assert set(by_row.predict(TEXTS)) == {"no"}


@pytest.mark.parametrize("cell", ["none", "gru"])
def test_training_does_not_change_torchs_generator(cell):
    torch.manual_seed(5)
    expected = torch.get_rng_state()
    SequenceClassifier(**{**DEEP, "cell": cell}, max_epochs=1).fit(TEXTS, LABELS)
    assert torch.equal(torch.get_rng_state(), expected)


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ({"cell": "none"}, "wide"),
        ({"cell": "none", "wide": "ngrams", "position": "learned"}, "learned"),
        ({"cell": "none", "wide": "ngrams", "conv_size": 8}, "conv_size 8"),
        ({"cell": "none", "wide": "ngrams", "vectors": "glove-50d"}, "glove-50d"),
    ],
)
def test_settings_that_a_linear_model_cannot_use_are_refused(arguments, value):
    with pytest.raises(ConfigError, match=value):
        SequenceClassifier(**arguments).fit(TEXTS, LABELS)


def test_features_of_other_sequences_are_refused():
    with pytest.raises(ConfigError, match="ngrams"):
        SequenceClassifier(wide="ngrams", validation_fraction=None).fit(SERIES, RISES)
    with pytest.raises(ConfigError, match="kernels"):
        SequenceClassifier(wide="kernels", validation_fraction=None).fit(TEXTS, LABELS)


@pytest.mark.parametrize("wide", ["ngrams", "kernels"])
def test_a_resumed_training_ends_with_the_same_bits(wide, tmp_path):
    X, y = (TEXTS, LABELS) if wide == "ngrams" else (SERIES, RISES)
    task, config, data = prepared(X, y, wide)
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = task.fit(config, data, folder=tmp_path / "whole")
    steps = iter(range(100))
    with pytest.raises(KeyboardInterrupt):
        task.fit(config, data, folder=tmp_path / "cut", stop_requested=lambda: next(steps) == 4)
    resumed = task.fit(config, data, folder=tmp_path / "cut")
    expected, found = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert [entry["epoch"] for entry in resumed.state.history] == [0, 1, 2, 3]


def prepared(X, y, wide):
    """The task, a config and data of a small network with a wide part."""
    estimator = SequenceClassifier(**{**PLAIN, **DEEP, "wide": wide, "max_epochs": 3}, validation_fraction=None)
    config, task = estimator._config(), estimator.task
    rows = records_of(X, y, "sequence")
    encoder = fit_encoder(rows, config.data, "words" if wide == "ngrams" else "numeric")
    codec = task.fit_codec(config.data, rows)
    data = TaskData(
        config.data, "X", "y", {"train": rows}, {"train": encode(encoder, codec, rows)}, encoder, codec, None
    )
    return task, config, data


@pytest.mark.parametrize("cell", ["none", "gru"])
def test_series_have_kernels(cell, tmp_path):
    model = SequenceClassifier(**{**ON_SERIES, "cell": cell, "wide_size": 500}, max_epochs=1)
    model.fit(SERIES[:60], RISES[:60])
    assert model.score(SERIES[60:], RISES[60:]) > 0.75
    together = model.predict_proba(SERIES)
    assert all(np.array_equal(model.predict_proba([each])[0], row) for each, row in zip(SERIES, together, strict=True))
    model.save(tmp_path / "model.safetensors")
    assert np.array_equal(load(tmp_path / "model.safetensors").predict_proba(SERIES), together)


def test_numbers_of_series_are_predicted_by_ridge_regression():
    y = np.array([each[:, 0].max() * 50 for each in SERIES])
    model = SequenceRegressor(cell="none", wide="kernels", wide_size=200, validation_fraction=None).fit(SERIES, y)
    assert model.score(SERIES, y) > 0.9


def test_labels_of_series_are_predicted_one_by_one():
    y = np.array([[rises, each[0, 1] > 0] for rises, each in zip(RISES, SERIES, strict=True)]).astype(int)
    linear = {"cell": "none", "wide": "kernels", "wide_size": 200, "validation_fraction": None}
    model = SequenceMultilabelClassifier(**linear).fit(SERIES, y)
    assert model.score(SERIES, y) > 0.8


@pytest.mark.parametrize("wide", ["ngrams", "kernels"])
def test_damaged_weights_are_refused(wide, tmp_path):
    X, y = (TEXTS, LABELS) if wide == "ngrams" else (SERIES, RISES)
    path = tmp_path / "model.safetensors"
    SequenceClassifier(cell="none", wide=wide, wide_size=100).fit(X, y).save(path)
    stored = load_tensors(path)
    for name, tensor in stored.tensors.items():
        others = {key: each for key, each in stored.tensors.items() if key != name}
        for damaged in ({}, {name: tensor.double() + 0.5}, {name: tensor.flatten()[None]}):
            save_tensors(path, {**others, **damaged}, stored.facts)
            with pytest.raises(RunError, match="weights|biases"):
                load(path)
