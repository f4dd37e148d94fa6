"""Model files: whatever a file contains, loading and predicting gives an answer or one of Ostinato's errors."""

import copy
import json
import warnings
from pathlib import Path

import pytest
import torch
from fuzzing import ends_cleanly, fuzzing
from hypothesis import given
from hypothesis import strategies as st

import ostinato
from ostinato import SequenceClassifier, SequenceMultilabelClassifier, SequenceRegressor, SequenceTagger, storage
from ostinato.storage import load_tensors

GOLDEN = Path(__file__).parents[1] / "golden" / "v0_1"
TINY = {"embedding_size": 3, "hidden_size": 4, "max_epochs": 1, "device": "cpu"}
SMALL = {**TINY, "validation_fraction": None}
TEXTS = ["red green", "blue", "red", "blue blue"] * 3
SERIES = [[[1.0, 2.0]] * 3, [[0.5, -1.0]] * 2] * 6
SENTENCES, TAGS = [["Ann", "sees", "Bo"], ["Bo", "runs"]] * 4, [["B-PER", "O", "B-PER"], ["B-PER", "O"]] * 4
MADE = {
    "text": lambda: SequenceClassifier(**SMALL, position="learned", conv_size=2).fit(TEXTS, ["a", "b"] * 6),
    "characters": lambda: SequenceClassifier(**SMALL, tokenizer="characters").fit(TEXTS, [1, 2] * 6),
    "kmers": lambda: SequenceClassifier(**SMALL, tokenizer="kmers(2)").fit(["ACG", "TTA"] * 6, [0.5, 1.5] * 6),
    "series": lambda: SequenceClassifier(**SMALL, cell="cnn", pooling="max").fit(SERIES, [True, False] * 6),
    "labels": lambda: SequenceMultilabelClassifier(**SMALL).fit(TEXTS, [["a"], ["a", "b"], [], ["b"]] * 3),
    "number": lambda: SequenceRegressor(**SMALL, loss="quantile").fit(TEXTS, [0.5, 1.5, 2.0, 3.0] * 3),
    "ensemble": lambda: ostinato.ensemble([MADE["text"](), SequenceClassifier(**SMALL).fit(TEXTS, ["a", "b"] * 6)]),
    "tagger": lambda: SequenceTagger(
        **SMALL, character_cell="cnn", word_shape_size=2, constrained=True, target_scheme="bioes"
    ).fit(SENTENCES, TAGS),
}
OLD = {f"v0_1 {name}": GOLDEN / f"{name}.safetensors" for name in ("text", "series", "dna", "tagger", "vectors")}
NAMES = [*MADE, *OLD]
INPUTS = [["Ann runs", "red blue", ""], ["ACGT"], [["Bo", "sees"]], [[("Bo", "NNP")]], [[[1.0, 2.0]] * 3], [[1.0, 2.0]]]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70_000),
    st.sampled_from([2**31, 2**53 + 1, 2**63, 10**30, -(2**63), 10_000, 65_536]),
    st.floats(),
    st.text(st.characters(codec=None), max_size=3),
    st.sampled_from(["", "\0", "\ud800", "<unk>", "O", "B-PER", "I-X", "none", "bioes", "kmers(13)", "numeric", "cnn"]),
    st.lists(st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=2)), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


@pytest.fixture(scope="module")
def subjects(tmp_path_factory):
    """A function from a model's name to the bytes of its file, and what is stored in them."""
    folder = tmp_path_factory.mktemp("models")
    paths = OLD | {name: folder / name for name in MADE}
    for name, make in MADE.items():
        make().save(paths[name])
    models = {name: (path.read_bytes(), load_tensors(path)) for name, path in paths.items()}
    return lambda name: models[name]  # a dict has a huge repr, which hypothesis would print


def containers(value):
    """Every table and list in nested facts, and the facts themselves."""
    yield value
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict | list):
            yield from containers(each)


def alter(data, facts):
    """Change one value of nested facts: replace, remove or add it; in a list also repeat it."""
    table = data.draw(st.sampled_from([each for each in containers(facts) if each or isinstance(each, list)]))
    keys = list(table) if isinstance(table, dict) else list(range(len(table)))
    action = data.draw(st.sampled_from(["replace", "remove", "add"])) if keys else "add"
    if action == "add":
        if isinstance(table, dict):
            table[data.draw(st.text(max_size=5))] = data.draw(VALUES)
        else:
            table.append(data.draw(st.one_of(VALUES, st.sampled_from(table) if table else st.nothing())))
        return
    key = data.draw(st.sampled_from(keys))
    if action == "replace":
        table[key] = data.draw(VALUES)
    else:
        del table[key]


SHAPES = {"longer": lambda each: each[..., None], "flat": lambda each: each.reshape(-1), "none": lambda each: each[:0]}
DTYPES = {"float64": torch.float64, "float16": torch.float16, "int64": torch.int64, "bool": torch.bool}
NUMBERS = [float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 3e38, -3e38, 1e30]


def altered(tensor, action, number, part):
    """A tensor with another number, scale, shape or type; `part` of 100 says where."""
    tensor = tensor.clone()
    if action == "number":
        tensor.reshape(-1)[part * tensor.numel() // 100] = number
    elif action == "scale":
        tensor.mul_(number)
    elif action in SHAPES:
        tensor = SHAPES[action](tensor[None] if tensor.dim() == 0 else tensor)
    elif action in DTYPES:
        tensor = tensor.to(DTYPES[action])
    return tensor


def load_and_use(path):
    """Load a model and ask for every kind of answer; inputs of another kind than the model's are refused."""
    model = ostinato.load(path, device="cpu")
    for inputs in INPUTS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # every token is out of vocabulary
            for method in ("predict", "predict_proba"):
                if hasattr(model, method):
                    ends_cleanly(getattr(model, method), inputs)
    fitted = model.fitted_
    for text in ("Ann sees red", "ACGT"):
        ends_cleanly(answer, fitted, text)
    ends_cleanly(model.save, path.with_name("again.safetensors"))


def answer(fitted, text):
    """The answer as the command line prints it."""
    for form in fitted.task.formats:
        rows = fitted.task.rows_of_texts([("row 1", text)], fitted)
        write = fitted.task.writer(fitted, form)
        [write(each) for each in fitted.task.answer(fitted, rows, strict=False) if each.error is None]


@fuzzing
@given(data=st.data())
def test_altered_facts(subjects, tmp_path, data):
    _, stored = subjects(data.draw(st.sampled_from(NAMES)))
    facts = copy.deepcopy(stored.facts)
    for _ in range(data.draw(st.integers(1, 3))):
        alter(data, facts)
    ends_cleanly(load_and_use, write(tmp_path / "altered", stored.tensors, facts, stored.format))


@fuzzing
@given(
    name=st.sampled_from(NAMES),
    which=st.integers(0, 99),
    action=st.sampled_from(["number", "scale", *SHAPES, *DTYPES, "rename", "remove"]),
    number=st.sampled_from(NUMBERS),
    part=st.integers(0, 99),
)
def test_altered_weights(subjects, tmp_path, name, which, action, number, part):
    _, stored = subjects(name)
    key = sorted(stored.tensors)[which * len(stored.tensors) // 100]
    tensors = {name: tensor for name, tensor in stored.tensors.items() if name != key}
    if action != "remove":
        tensors[f"other.{key}" if action == "rename" else key] = altered(stored.tensors[key], action, number, part)
    ends_cleanly(load_and_use, write(tmp_path / "altered", tensors, stored.facts, stored.format))


@fuzzing
@given(data=st.data())
def test_altered_bytes(subjects, tmp_path, data):
    content, _ = subjects(data.draw(st.sampled_from(NAMES)))
    altered = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.one_of(st.integers(0, len(altered)), st.integers(0, min(len(altered), 4000))))
        end = start + data.draw(st.integers(0, 20))
        altered[start:end] = data.draw(st.binary(max_size=20))
    path = tmp_path / "altered"
    path.write_bytes(altered)
    ends_cleanly(load_and_use, path)


def write(path, tensors, facts, version):
    """Write a file with any facts, also those that `save_tensors` cannot write, and the digest that fits them."""
    text = json.dumps(facts)
    header = {"format": version, "facts": text, "sha256": storage.digest_of(tensors, text)}
    path.write_bytes(storage.to_bytes(tensors, {"ostinato": json.dumps(header)}))
    return path
