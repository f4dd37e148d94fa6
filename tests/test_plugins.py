"""Cells, formats and tokenizers of user code: registered once, they are names like the built-in ones."""

import json
from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch

from ostinato import SequenceClassifier, load, plugins
from ostinato.data.formats import Row, register_format
from ostinato.data.tokenizers import register_tokenizer
from ostinato.errors import ConfigError
from ostinato.nn import CELLS, Cell, register_cell
from ostinato.tasks.classification.task import Classification
from ostinato.tasks.config import json_schema, parse_config

TRAINING = {"max_epochs": 30, "lr": 3e-2, "batch_size": 8, "device": "cpu", "patience": None}
MODEL = {"cell": "leaky", "embedding_size": 4, "hidden_size": 4}


def leaky_step(x, state, weights):
    """A leaky RNN: h' = 0.5 h + 0.5 tanh(W_ih x + b_ih + W_hh h + b_hh)."""
    (h,) = state
    sums = x @ weights.weight_ih.T + weights.bias_ih + h @ weights.weight_hh.T + weights.bias_hh
    return (0.5 * h + 0.5 * torch.tanh(sums),)


LEAKY = Cell("leaky", gates=1, states=1, step=leaky_step)


def pipes(path):
    """Rows such as `abab|x`."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text, label = line.split("|")
        yield Row(f"{path}, row {number}", {"text": text, "label": label})


class Pairs:
    """A tokenizer of pairs of letters, without a remainder."""

    vocabulary = None

    def tokens(self, sequence):
        return [sequence[start:end] for start, end in self.offsets(sequence)]

    def offsets(self, sequence):
        return [(start, start + 2) for start in range(0, len(sequence) - 1, 2)]

    def count(self, sequences):
        tokens = [self.tokens(sequence) for sequence in sequences]
        return Counter(token for each in tokens for token in each), np.array([len(each) for each in tokens], np.int64)

    def indexer(self, vocabulary):
        return partial(self._index, vocabulary)

    def _index(self, vocabulary, sequences):
        tokens = [self.tokens(sequence) for sequence in sequences]
        ids = [vocabulary.id(token) for each in tokens for token in each]
        return np.array(ids, np.int32), np.array([len(each) for each in tokens], np.int64)


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(plugins, "_registered", {})
    before = dict(CELLS)
    yield
    CELLS.clear()
    CELLS.update(before)


@pytest.fixture
def registered():
    register_cell("leaky", LEAKY)
    register_tokenizer("pairs", Pairs)
    register_format("pipes", pipes, endings=(".psv",))


def labelled(count):
    """Strings of pairs `ab` and `ba`; the label is the first pair."""
    rng = np.random.default_rng(0)
    pairs = [rng.choice(["ab", "ba"], size=rng.integers(2, 5)) for _ in range(count)]
    return ["".join(each) for each in pairs], [str(each[0]) for each in pairs]


def test_a_classifier_with_a_registered_cell_and_tokenizer_learns_and_is_saved(registered, tmp_path):
    X, y = labelled(80)
    model = SequenceClassifier(**MODEL, **TRAINING, tokenizer="pairs", validation_fraction=None).fit(X, y)
    assert model.encoder_.vocabulary.tokens[0] == "<unk>"
    assert set(model.encoder_.vocabulary.tokens[1:]) == {"ab", "ba"}
    assert model.model_.stack.layers[0].cell is LEAKY
    assert model.score(X, y) > 0.9
    model.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "model.safetensors").predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(("name", "form"), [("a.psv", None), ("a.txt", "pipes")])
def test_a_config_with_registered_names_trains(registered, tmp_path, name, form):
    texts, labels = labelled(80)
    (tmp_path / name).write_text("".join(f"{text}|{label}\n" for text, label in zip(texts, labels, strict=True)))
    data = {"path": str(tmp_path / name), "tokenizer": "pairs", "test_size": 0, "validation_size": 0.2}
    given = data if form is None else {**data, "format": form}
    config = parse_config({"data": given, "model": MODEL, "training": {**TRAINING, "max_epochs": 1}})
    assert (config.data.format, config.data.tokenizer, config.model.cell) == (form, "pairs", "leaky")
    task = Classification()
    prepared = task.prepare(config.data)
    assert prepared.codec.labels == ("ab", "ba")
    trained = task.fit(task.settle(config, prepared), prepared)
    assert trained.network.stack.layers[0].cell is LEAKY
    assert trained.validation.shape == (len(prepared.rows["validation"]), 2)


def test_a_tagger_takes_a_registered_cell_and_format(registered):
    values = {"task": "tagging", "data": {"path": "a.psv", "format": "pipes"}, "model": {"cell": "leaky"}}
    assert parse_config(values).model.cell == "leaky"


@pytest.mark.parametrize(
    ("table", "key", "name", "near"),
    [("model", "cell", "leeky", "leaky"), ("data", "format", "pips", "pipes"), ("data", "tokenizer", "pair", "pairs")],
)
def test_a_misspelt_registered_name_is_refused_with_the_nearest(registered, table, key, name, near):
    values = {"data": {"path": "a.psv"}, "model": {}}
    values[table][key] = name
    with pytest.raises(ConfigError, match=f"{table}.{key}: .*'{name}'.*'{near}'"):
        parse_config(values)


def test_the_schema_lists_registered_names(registered):
    definitions = json.loads(json_schema())["$defs"]
    assert "leaky" in json.dumps(definitions["SequenceModel"]["properties"]["cell"])
    assert "pipes" in json.dumps(definitions["ClassificationData"]["properties"]["format"])
    assert "pairs" in json.dumps(definitions["ClassificationData"]["properties"]["tokenizer"])


def test_registering_again_replaces_the_entry_and_a_built_in_name_is_refused():
    plugins.register(plugins.FORMATS, "mine", "first", {"csv": "built in"})
    plugins.register(plugins.FORMATS, "mine", "second", {"csv": "built in"})
    with pytest.raises(ConfigError, match="format 'csv' is built in"):
        plugins.register(plugins.FORMATS, "csv", "third", {"csv": "built in"})
    assert plugins.find(plugins.FORMATS, "mine", {}, "format") == "second"
    assert plugins.names(plugins.FORMATS) == ["mine"]
    assert plugins.names(plugins.CELLS) == []
