"""Every kind of regularisation trains every task, the same way for the same seed; series have no tokens to drop."""

import numpy as np
import pytest

from ostinato import (
    SequenceClassifier,
    SequenceMultilabelClassifier,
    SequenceRegressor,
    SequenceTagger,
)
from ostinato.errors import ConfigError

RNG = np.random.default_rng(0)
TEXTS = ["".join(RNG.choice(list("ab"), size=RNG.integers(3, 9))) for _ in range(40)]
SERIES = [RNG.normal(size=(RNG.integers(3, 9), 2)) for _ in range(40)]
SMALL = {"hidden_size": 4, "embedding_size": 4, "max_epochs": 2, "validation_fraction": None, "device": "cpu"}
DROPOUT = {"dropout": 0.2, "weight_dropout": 0.2, "embedding_dropout": 0.2, "word_dropout": 0.2}
KINDS = [
    DROPOUT,
    {**DROPOUT, "r_drop": 1.0},
    {"adversarial": "supervised"},
    {**DROPOUT, "adversarial": "virtual"},
    {"swa_start": 1},
]


def classifier(**settings):
    y = [text.count("a") > text.count("b") for text in TEXTS]
    return SequenceClassifier(**SMALL, **settings, tokenizer="characters").fit(TEXTS, y)


def multilabel(**settings):
    y = [{letter for letter in "ab" if 2 * letter in text} for text in TEXTS]
    return SequenceMultilabelClassifier(**SMALL, **settings, tokenizer="characters").fit(TEXTS, y)


def regressor(**settings):
    y = [text.count("a") for text in TEXTS]
    return SequenceRegressor(**SMALL, **settings, tokenizer="characters").fit(TEXTS, y)


def tagger(**settings):
    X = [list(text) for text in TEXTS]
    y = [["X" if letter == "a" else "Y" for letter in text] for text in TEXTS]
    return SequenceTagger(**SMALL, **settings, head="softmax").fit(X, y)


@pytest.mark.parametrize("settings", KINDS, ids=lambda settings: "-".join(settings))
@pytest.mark.parametrize("make", [classifier, multilabel, regressor, tagger])
def test_every_task_trains_with_it_and_the_seed_decides(make, settings):
    plain, first, second = make(), make(**settings), make(**settings)
    weights = [model.model_.head.weight.detach().numpy() for model in (plain, first, second)]
    np.testing.assert_array_equal(weights[1], weights[2])
    assert (weights[0] != weights[1]).any()
    assert first.model_.change_vectors is None


def test_a_crf_trains_on_supervised_perturbations():
    X = [list(text) for text in TEXTS]
    y = [["X" if letter == "a" else "Y" for letter in text] for text in TEXTS]
    models = [
        SequenceTagger(**SMALL, head="crf", adversarial=kind).fit(X, y).model_.head.weight
        for kind in ("supervised", None)
    ]
    assert (models[0] != models[1]).any()


@pytest.mark.parametrize("settings", [{"weight_dropout": 0.2, "r_drop": 1.0}, {"adversarial": "virtual"}])
def test_series_are_regularised(settings):
    y = [series.sum() > 0 for series in SERIES]
    weights = [SequenceClassifier(**SMALL, **each).fit(SERIES, y).model_.head.weight for each in ({}, settings)]
    assert (weights[0] != weights[1]).any()


@pytest.mark.parametrize("key", ["word_dropout", "embedding_dropout"])
def test_series_have_no_tokens_to_drop(key):
    with pytest.raises(ConfigError, match=f"model.{key} 0.2"):
        SequenceClassifier(**SMALL, **{key: 0.2}).fit(SERIES, [series.sum() > 0 for series in SERIES])
