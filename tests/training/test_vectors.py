"""Pretrained vectors in a model: whether they are trained, and words outside the training vocabulary."""

import json

import numpy as np
import pytest
import torch

from ostinato import SequenceClassifier, SequenceTagger, load, runs
from ostinato.errors import ConfigError, DataError
from ostinato.nn import TokenEmbedding
from ostinato.tasks.config import parse_config

TEXTS = ["good film", "bad film", "good end", "bad end"] * 6
LABELS = ["pos", "neg"] * 12
VECTORS = {
    "good": [3, 0, 1],
    "great": [3, 0, 1],
    "bad": [-3, 0, 1],
    "awful": [-3, 0, 1],
    "film": [0, 2, 0],
    "zebra": [0, 0, 2],
}
SMALL = {
    "cell": "gru",
    "hidden_size": 6,
    "embedding_size": 3,
    "max_epochs": 4,
    "lr": 2e-2,
    "validation_fraction": None,
    "device": "cpu",
}


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in VECTORS.items()), encoding="utf-8")
    return str(path)


def table_of(model):
    ids = model.encoder_.vocabulary.ids
    return {word: model.model_.embed(torch.tensor([ids[word]]))[0].tolist() for word in VECTORS if word in ids}


def test_frozen_vectors_stay_as_they_are(source):
    model = SequenceClassifier(**SMALL, vectors=source, freeze_vectors="always").fit(TEXTS, LABELS)
    assert table_of(model) == VECTORS
    assert all(parameter.requires_grad for parameter in model.model_.parameters())


def test_vectors_are_trained_after_the_epochs_in_which_they_are_frozen(source):
    short = {**SMALL, "max_epochs": 2}
    frozen = table_of(SequenceClassifier(**short, vectors=source, freeze_vectors=2).fit(TEXTS, LABELS))
    trained = table_of(SequenceClassifier(**short, vectors=source, freeze_vectors=1).fit(TEXTS, LABELS))
    assert frozen == VECTORS
    assert trained["good"] != VECTORS["good"]
    assert trained["zebra"] == VECTORS["zebra"]  # not in the vocabulary


def test_words_outside_the_training_data_are_known_by_their_vectors(source, tmp_path):
    model = SequenceClassifier(**{**SMALL, "max_epochs": 30}, vectors=source, freeze_vectors="always").fit(
        TEXTS, LABELS
    )
    np.testing.assert_array_equal(model.predict_proba(["great film"]), model.predict_proba(["good film"]))
    assert model.predict(["great film", "awful film"]).tolist() == ["pos", "neg"]
    model.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(
        load(tmp_path / "model.safetensors").predict_proba(["awful end"]), model.predict_proba(["awful end"])
    )


def test_extra_vectors_limits_the_words_outside_the_vocabulary(source):
    model = SequenceClassifier(**SMALL, vectors=source, extra_vectors=1).fit(TEXTS, LABELS)
    assert model.encoder_.vocabulary.extra == ("great",)  # the first in the file that is not a token
    assert SequenceClassifier(**SMALL, vectors=source, extra_vectors=0).fit(TEXTS, LABELS).model_.embed.extra is None


def test_an_extra_vector_has_no_gradient():
    embed = TokenEmbedding(3, 2, num_extra=2)
    embed.extra.copy_(torch.tensor([[5.0, 6.0], [7.0, 8.0]]))
    out = embed(torch.tensor([1, 4, 3, 1]))
    assert out[1:3].tolist() == [[7, 8], [5, 6]]
    out.sum().backward()
    assert embed.weight.grad.tolist() == [[0, 0], [2, 2], [0, 0]]


def test_a_tagger_uses_them_too(source):
    X, y = [["good", "film"], ["bad", "film"]] * 8, [["A", "N"], ["B", "N"]] * 8
    settings = {
        "embedding_size": 3,
        "hidden_size": 6,
        "max_epochs": 30,
        "lr": 3e-2,
        "validation_fraction": None,
        "device": "cpu",
        "head": "softmax",
    }
    tagger = SequenceTagger(**settings, vectors=source, freeze_vectors="always").fit(X, y)
    assert tagger.predict([["great", "film"], ["awful", "film"]]) == [["A", "N"], ["B", "N"]]


def test_a_run_reports_the_coverage(source, tmp_path):
    rows = "".join(f"{text} {number},{label}\n" for number, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True)))
    (tmp_path / "data.csv").write_text("text,label\n" + rows, encoding="utf-8")
    data = {"path": str(tmp_path / "data.csv"), "vectors": source, "validation_size": 2, "test_size": 2}
    model = {"cell": "gru", "hidden_size": 6, "embedding_size": 3}
    config = parse_config(
        {"data": data, "model": model, "training": {"max_epochs": 2, "device": "cpu", "freeze_vectors": 1}}
    )
    runs.start_run(config, tmp_path / "run")
    audit = json.loads((tmp_path / "run" / "audit.json").read_text(encoding="utf-8"))
    assert audit["vectors"]["exact"] == len(
        [word for word in load(tmp_path / "run").encoder_.vocabulary.tokens if word in VECTORS]
    )
    assert "of the vocabulary found" in (tmp_path / "run" / "training.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"embedding_size": 8},
            ConfigError,
            "embedding_size is 8.* 3 dimensions",
        ),
        ({"tokenizer": "characters"}, ConfigError, "tokenizer characters"),
        ({"vectors": "glove-51d"}, DataError, "'glove-51d'.*'glove-50d'"),
        ({"freeze_vectors": -1}, ConfigError, "freeze_vectors: -1"),
        ({"vectors": None, "freeze_vectors": "always"}, ConfigError, "freeze_vectors always"),
    ],
)
def test_settings_that_contradict_the_vectors_are_refused(source, settings, error, message):
    with pytest.raises(error, match=message):
        SequenceClassifier(**{**SMALL, "vectors": source, **settings}).fit(TEXTS, LABELS)
