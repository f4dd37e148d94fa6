"""Model files: a damaged or foreign one is refused with the field's name, and never by another kind of error."""

import copy
import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ostinato import (
    SequenceClassifier,
    SequenceMultilabelClassifier,
    SequenceRegressor,
    SequenceTagger,
    storage,
)
from ostinato.errors import RunError
from ostinato.storage import load_tensors, save_tensors
from ostinato.tasks.model_file import load_model, save_model

TINY = {"embedding_size": 3, "hidden_size": 4, "max_epochs": 1, "validation_fraction": None, "device": "cpu"}
TEXTS, LABELS = ["red green", "blue", "red", "blue blue"] * 3, ["a", "b"] * 6
SERIES = [[[1.0, 2.0]] * 3, [[0.5, -1.0]] * 2] * 6
SENTENCES, TAGS = [["Ann", "sees", "Bo"], ["Bo", "runs"]] * 4, [["B-PER", "O", "B-PER"], ["B-PER", "O"]] * 4
SUBJECTS = {
    "text": lambda: SequenceClassifier(**TINY).fit(TEXTS, LABELS),
    "series": lambda: SequenceClassifier(**TINY).fit(SERIES, LABELS),
    "labels": lambda: SequenceMultilabelClassifier(**TINY).fit(TEXTS, [["a"], ["a", "b"], [], ["b"]] * 3),
    "number": lambda: SequenceRegressor(**TINY).fit(TEXTS, [0.5, 1.5, 2.0, 3.0] * 3),
    "tagger": lambda: SequenceTagger(**TINY, character_cell="cnn", word_shape_size=2).fit(SENTENCES, TAGS),
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**6),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=2)), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)
OPTIONAL = {"scale"}  # model files without it are read
FIELDS = ("kind", "task", "config", "encoder", "codec")


@pytest.fixture(scope="module", params=SUBJECTS)
def subject(request, tmp_path_factory):
    """A model's file, its tensors and its facts."""
    path = tmp_path_factory.mktemp("models") / "model.safetensors"
    SUBJECTS[request.param]().save(path)
    stored = load_tensors(path)
    return path.with_name("altered.safetensors"), stored.tensors, stored.facts


def write(path, tensors, facts):
    save_tensors(path, tensors, facts)
    return path


def test_a_saved_model_is_saved_again_to_the_same_bytes(subject):
    path, tensors, facts = subject
    write(path, tensors, facts)
    before = path.read_bytes()
    save_model(path, load_model(path))
    assert path.read_bytes() == before


def test_a_file_of_a_newer_format_is_refused(subject, monkeypatch):
    path, tensors, facts = subject
    newer = storage.FORMAT + 1
    with monkeypatch.context() as patch:
        patch.setattr(storage, "FORMAT", newer)
        write(path, tensors, facts)
    with pytest.raises(RunError, match=f"{path.name}: format {newer}"):
        load_model(path)


@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_field_is_named(subject, field):
    path, tensors, facts = subject
    with pytest.raises(RunError, match=rf"{path.name}.*{field}"):
        load_model(write(path, tensors, {name: value for name, value in facts.items() if name != field}))


@pytest.mark.parametrize("table", ["encoder", "codec"])
def test_a_missing_field_of_encoder_or_codec_is_named(subject, table):
    path, tensors, facts = subject
    for field in facts[table].keys() - OPTIONAL:
        altered = copy.deepcopy(facts)
        del altered[table][field]
        with pytest.raises(RunError, match=rf"{path.name}: {table}.*{field}"):
            load_model(write(path, tensors, altered))


@pytest.mark.parametrize("value", [None, 3, "text", [1]])
@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_a_wrong_type_is_named(subject, field, value):
    path, tensors, facts = subject
    with pytest.raises(RunError, match=rf"{path.name}.*{field}|{path.name}: not a model"):
        load_model(write(path, tensors, {**facts, field: value}))


def test_weights_of_another_shape_are_named(subject):
    path, tensors, facts = subject
    for name in ("head.weight", "embed.weight"):
        with pytest.raises(RunError, match=rf"{path.name}.*{name}"):
            load_model(write(path, {**tensors, name: torch.zeros(2, 3)}, facts))


def test_missing_and_unknown_weights_are_named(subject):
    path, tensors, facts = subject
    for altered, name in (
        ({key: tensor for key, tensor in tensors.items() if key != "head.bias"}, "head.bias"),
        ({**tensors, "extra.weight": torch.zeros(2)}, "extra.weight"),
    ):
        with pytest.raises(RunError, match=rf"{path.name}.*{name}"):
            load_model(write(path, altered, facts))


def paths_of(value, path=()):
    """The path of every value in nested tables and lists."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from paths_of(each, (*path, key))


@pytest.mark.parametrize(
    "altered", [{"mean": []}, {"tokens": None}, {"tokenizer": "numeric"}, {"mean": [1.0], "std": [1.0]}]
)
def test_an_encoder_whose_parts_do_not_fit_each_other_is_refused(altered, tmp_path):
    path = tmp_path / "model.safetensors"
    SUBJECTS["text"]().save(path)
    tensors, facts, _ = load_tensors(path)
    with pytest.raises(RunError, match=rf"{path.name}: encoder.*tokenizer"):
        load_model(write(path, tensors, {**facts, "encoder": {**facts["encoder"], **altered}}))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_altered_facts_are_read_or_refused_and_never_crash(subject, data):
    path, tensors, facts = subject
    altered = copy.deepcopy(facts)
    *parents, last = data.draw(st.sampled_from(list(paths_of(facts))))
    table = altered
    for key in parents:
        table = table[key]
    if data.draw(st.booleans()):
        table[last] = data.draw(VALUES)
    else:
        del table[last]
    assert reason_against(write(path, tensors, json.loads(json.dumps(altered)))) in (None, str(path))


def reason_against(path):
    """How the message of a refusal begins; None where the file is read."""
    try:
        load_model(path)
    except RunError as error:
        return str(error)[: len(str(path))] if "\n" not in str(error) else str(error)
    return None
