"""Model files that are well formed and wrong are refused when they are loaded, with the name of the field."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ostinato import (
    SequenceClassifier,
    SequenceMultilabelClassifier,
    SequenceRegressor,
    SequenceTagger,
    load,
    storage,
)
from ostinato.errors import RunError, TrainingError
from ostinato.storage import load_tensors, save_tensors

GOLDEN = Path(__file__).parents[1] / "golden" / "v0_1" / "text.safetensors"
OLD_TAGGER = GOLDEN.with_name("tagger.safetensors")
TINY = {"embedding_size": 3, "hidden_size": 4, "max_epochs": 1, "validation_fraction": None, "device": "cpu"}
TEXTS, LABELS = ["red green", "blue", "red", "blue blue"] * 3, ["a", "b"] * 6
MADE = {
    "text": lambda: SequenceClassifier(**TINY, tokenizer="words", position="learned", conv_size=2).fit(TEXTS, LABELS),
    "characters": lambda: SequenceClassifier(**TINY, tokenizer="characters").fit(TEXTS, LABELS),
    "kmers": lambda: SequenceClassifier(**TINY, tokenizer="kmers(2)").fit(["ACG", "TTA"] * 6, LABELS),
    "series": lambda: SequenceClassifier(**TINY).fit([[0.5, 1.0], [2.0]] * 6, LABELS),
    "labels": lambda: SequenceMultilabelClassifier(**TINY).fit(TEXTS, [["a"], ["a", "b"], [], ["b"]] * 3),
    "number": lambda: SequenceRegressor(**TINY).fit(TEXTS, [0.5, 1.5, 2.0, 3.0] * 3),
    "tagger": lambda: SequenceTagger(**TINY).fit([["Ann", "sees", "Bo"]] * 4, [["B-PER", "O", "B-PER"]] * 4),
}
REMOVED = object()


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The contents of a model file of each kind."""
    folder = tmp_path_factory.mktemp("models")
    for name, make in MADE.items():
        make().save(folder / name)
    return {name: load_tensors(folder / name) for name in MADE} | {
        "0.1": load_tensors(GOLDEN),
        "0.1 tagger": load_tensors(OLD_TAGGER),
    }


def changed(facts, field, value):
    """Facts in which the field of this dotted name has another value."""
    facts = copy.deepcopy(facts)
    *parents, last = field.split(".")
    table = facts
    for key in parents:
        table = table[key]
    if value is REMOVED:
        del table[last]
    else:
        table[last] = value
    return facts


def write(path, tensors, facts, monkeypatch, version=storage.FORMAT):
    with monkeypatch.context() as patch:
        patch.setattr(storage, "FORMAT", version)
        save_tensors(path, tensors, facts)
    return path


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        *[(kind, "encoder.longest", value) for kind in ("text", "0.1") for value in ("9", -1, 2**40, 1.5)],
        *[(kind, "encoder.tokens", value) for kind in ("text", "0.1") for value in ([], ["red"], ["<unk>", 3], {}, 7)],
        ("text", "encoder.tokens", ["<unk>", "blue", "red", "red"]),
        ("text", "encoder.extra", ["red"]),
        ("text", "encoder.max_length", 0),
        ("text", "encoder.tokenizer", "wrods"),
        ("characters", "encoder.tokens", ["<unk>", "ab"]),
        ("kmers", "encoder.tokens", ["<unk>", "ACG"]),
        ("kmers", "encoder.tokens", ["<unk>", "A-"]),
        ("series", "encoder.std", [0.0]),
        ("series", "encoder.std", [-1.0]),
        ("series", "encoder.std", [1.0, 1.0]),
        ("series", "encoder.mean", ["0"]),
        ("text", "codec.labels", [{"a": 1}, "b"]),
        ("text", "codec.labels", ["a", "a"]),
        ("text", "codec.labels", [1, "1"]),
        ("text", "codec.labels", [1, True]),
        ("text", "codec.labels", ["a", None]),
        ("labels", "codec.labels", ["a", "a"]),
        ("labels", "codec.is_indicator", 1),
        ("number", "codec.scale", [0.0]),
        ("number", "codec.scale", [-1.0]),
        ("number", "codec.scale", [1.0, 1.0]),
        ("number", "codec.mean", [1e300]),
        ("number", "codec.names", []),
        ("tagger", "codec.tags", ["B-PER", "B-PER", "O"]),
        ("tagger", "codec.tags", ["B-PER", "I-LOC", "O"]),
        ("tagger", "codec.tags", ["B-PER", "I-PER", "X"]),
        ("tagger", "codec.target_scheme", None),
        ("tagger", "encoder.words", ["Ann", "Bo", "sees"]),
        ("tagger", "encoder.characters", []),
        ("text", "config.model.hidden_size", -4),
        ("text", "config.model.other", 1),
        ("0.1", "model", REMOVED),
        ("0.1", "parameters", REMOVED),
        ("0.1", "encoder", REMOVED),
        ("0.1", "parameters", []),
        ("0.1", "model", 5),
        ("0.1", "parameters.other", 1),
        ("0.1", "parameters.lr", "fast"),
        ("0.1", "parameters.lr", REMOVED),
        ("0.1", "parameters.class_weight", [1, 2]),
        ("0.1", "model.cell", REMOVED),
        ("0.1", "encoder.labels", REMOVED),
        ("0.1 tagger", "encoder.tags", REMOVED),
        ("0.1 tagger", "encoder.other", 3),
    ],
)
def test_a_fact_that_cannot_be_used_is_refused(stored, kind, field, value, tmp_path, monkeypatch):
    tensors, facts, version = stored[kind]
    path = write(tmp_path / "model.safetensors", tensors, changed(facts, field, value), monkeypatch, version)
    with pytest.raises(RunError, match=rf"model.safetensors: .*{field.split('.')[-1]}"):
        load(path)


@pytest.mark.parametrize("facts", [5, [1], "text", None])
def test_facts_that_are_not_an_object_are_refused(stored, facts, tmp_path):
    save_tensors(tmp_path / "model.safetensors", stored["text"].tensors, facts)
    with pytest.raises(RunError, match="model.safetensors: facts"):
        load(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    "header",
    [
        [],
        {"format": "2"},
        {"format": True},
        {"format": 0},
        {"format": 2, "facts": {}, "sha256": ""},
        {"format": 2, "facts": "{}"},
        {"format": 2, "facts": "[" * 100_000, "sha256": ""},
        {"format": 2, "facts": "9" * 5000, "sha256": ""},
        {"format": 2, "facts": "\ud800", "sha256": ""},
        {"format": 2, "facts": '{"kind": "\\ud800"}', "sha256": ""},
    ],
)
def test_a_header_that_ostinato_did_not_write_is_refused(header, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(storage.to_bytes({"head.weight": torch.zeros(2)}, {"ostinato": json.dumps(header)}))
    with pytest.raises(RunError, match="model.safetensors: truncated or altered"):
        load(path)


SIZES = ("embedding_size", "hidden_size", "num_layers", "conv_size", "kernel_size")


def test_a_size_that_the_weights_do_not_have_is_refused_without_memory_for_it(stored, tmp_path):
    tensors, facts, _ = stored["text"]
    value = {"config.model.num_layers": 1000, "config.model.kernel_size": 9999, "encoder.longest": 2**31}
    fields = [*(f"config.model.{size}" for size in SIZES), "encoder.longest"]
    for field in fields:
        save_tensors(tmp_path / f"{field}.safetensors", tensors, changed(facts, field, value.get(field, 65_536)))
    program = (
        "import resource, sys, ostinato, ostinato.tasks.loading\n"
        "used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n        ostinato.load(path)\n"
        "    except ostinato.errors.RunError as error:\n        print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used)\n"
        "print('torch._dynamo' in sys.modules)\n"  # torch imports its compiler where the meta device has no shortcut
    )
    command = [sys.executable, "-c", program, *(str(tmp_path / f"{field}.safetensors") for field in fields)]
    *messages, kibibytes, has_compiler = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(load.__code__.co_filename).parents[2]
    ).stdout.splitlines()
    assert [(field in message, "the weights" in message) for field, message in zip(fields, messages, strict=True)] == [
        (True, True)
    ] * len(fields)
    assert int(kibibytes) < 200_000
    assert has_compiler == "False"


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        *[(kind, "head.weight", value) for kind in MADE for value in (float("nan"), float("inf"), -float("inf"))],
        ("0.1", "head.bias", float("nan")),
        *[("text", "temperature", value) for value in (-1.0, 0.0, float("nan"), float("inf"), 1e-30, 1e9)],
        *[("0.1", "temperature", value) for value in (-1.0, 0.0)],
        *[("labels", "temperatures", value) for value in (-1.0, 0.0, float("nan"))],
        *[("labels", "thresholds", value) for value in (-0.5, 1.5, float("nan"))],
        *[("tagger", f"crf.{name}", float("nan")) for name in ("start", "transitions", "end")],
    ],
)
def test_weights_that_give_no_answer_are_refused(stored, kind, name, value, tmp_path, monkeypatch):
    tensors, facts, version = stored[kind]
    altered = tensors[name].clone()
    altered.view(-1)[-1] = value
    path = write(tmp_path / "model.safetensors", {**tensors, name: altered}, facts, monkeypatch, version)
    with pytest.raises(
        RunError, match=rf"model.safetensors: the weights {name} contain .*{re.escape(format(value, 'g'))}"
    ):
        load(path)


def test_weights_of_another_type_are_refused(stored, tmp_path):
    tensors, facts, _ = stored["text"]
    save_tensors(tmp_path / "model.safetensors", {**tensors, "head.weight": tensors["head.weight"].double()}, facts)
    with pytest.raises(RunError, match="head.weight are torch.float64"):
        load(tmp_path / "model.safetensors")


@pytest.mark.parametrize("kind", ["text", "tagger"])
def test_finite_weights_that_overflow_on_an_input_give_an_error(stored, kind, tmp_path):
    tensors, facts, _ = stored[kind]
    weights = {**tensors, "head.weight": torch.full_like(tensors["head.weight"], 3e38)}
    weights["head.bias"] = torch.full_like(tensors["head.bias"], 3e38)
    weights |= {name: torch.full_like(each, 9.0) for name, each in tensors.items() if name.startswith("stack")}
    save_tensors(tmp_path / "model.safetensors", weights, facts)
    with pytest.raises(TrainingError, match=r"inf|nan|e\+3"):
        load(tmp_path / "model.safetensors").predict([["red"]] if kind == "tagger" else ["red"])
