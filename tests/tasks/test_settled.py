"""Keys that are left out are chosen from the training rows, by the rules of `ostinato init`; given values stay."""

import json

import numpy as np
import pytest

from ostinato import SequenceClassifier, SequenceMultilabelClassifier, SequenceRegressor, SequenceTagger, load
from ostinato.comparison.training import train_run
from ostinato.config import AUTO, to_toml
from ostinato.errors import ConfigError
from ostinato.runs import create_run, resume_run, start_run
from ostinato.tasks import TASKS
from ostinato.tasks.config import CONFIGS, PRESETS, parse_config, parse_toml, read_run_config
from ostinato.tasks.infer import infer_config
from ostinato.tuning import make_search

ROWS = 100
RANDOM = np.random.default_rng(0)
WORDS = [" ".join(RANDOM.choice(["red", "green", "blue", "old", "new", "good"], 7)) for _ in range(ROWS)]
DNA = ["".join(RANDOM.choice(list("ACGT"), 60)) for _ in range(ROWS)]
NAMES = ["".join(RANDOM.choice(list("xyzuvw"), 5)) + str(row) for row in range(10, 10 + ROWS)]
SERIES = [(10.0 ** RANDOM.integers(0, 5) * RANDOM.normal(size=(30, 2))).tolist() for _ in range(ROWS)]
TEXTS = ["red green", "blue", "old blue", "green red old"] * 5
SENTENCES = [["Ann", "sees", "Bo"], ["Bo", "runs"], ["ann", "runs"]] * 6
ENTITIES = [["B-PER", "O", "B-PER"], ["B-PER", "O"], ["B-PER", "O"]] * 6
FITTED = {
    "classification": (SequenceClassifier, TEXTS, ["a", "b"] * 10),
    "multilabel": (SequenceMultilabelClassifier, TEXTS, [["a"], ["a", "b"], [], ["b"]] * 5),
    "regression": (SequenceRegressor, TEXTS, [0.5, 1.5, 2.0, 3.0] * 5),
    "tagging": (SequenceTagger, SENTENCES, ENTITIES),
}


def table(config, name):
    return {**getattr(config, name).model_dump()}


def with_file(tmp_path, name, sequences, **tables):
    """The config of a file of labelled sequences, with these tables alone."""
    path = tmp_path / f"{name}.jsonl"
    rows = [{"text": each, "label": "ab"[row % 2]} for row, each in enumerate(sequences)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path, parse_config({**tables, "data": {"path": str(path), **tables.get("data", {})}})


def settle(config):
    task = TASKS[config.task]
    return task.settle(config, task.prepare(config.data))


@pytest.mark.parametrize("kind", ["WORDS", "DNA", "NAMES", "SERIES"])
def test_a_config_with_a_path_alone_becomes_the_one_that_init_writes(kind, tmp_path):
    path, config = with_file(tmp_path, kind, globals()[kind])
    inferred, found = infer_config(path).config, settle(config)
    assert found == inferred
    assert inferred.is_settled and not config.is_settled


@pytest.mark.parametrize("kind", ["WORDS", "DNA", "NAMES", "SERIES"])
def test_an_estimator_without_arguments_has_the_settings_of_a_config_without_keys(kind, tmp_path):
    _, config = with_file(tmp_path, kind, globals()[kind], data={"test_size": 0})
    prepared = TASKS[config.task].prepare(config.data)
    parts = [([row.sequence for row in rows], rows.targets) for rows in map(prepared.rows.get, ("train", "validation"))]
    fitted = SequenceClassifier(max_epochs=1).fit(*parts[0], parts[1])
    expected = TASKS[config.task].settle(config, prepared)
    assert table(fitted.config_, "model") == table(expected, "model")
    assert table(fitted.config_, "training") == {**table(expected, "training"), "max_epochs": 1}
    for key in type(expected.data).OLD_DEFAULTS:
        assert getattr(fitted.config_.data, key) == getattr(expected.data, key)


@pytest.mark.parametrize("task", FITTED)
def test_a_fitted_estimator_and_its_file_have_a_value_for_every_key(task, tmp_path):
    estimator, X, y = FITTED[task]
    fitted = estimator(max_epochs=1, validation_fraction=None).fit(X, y)
    assert fitted.config_.is_settled
    fitted.save(tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    assert loaded.config_ == fitted.config_
    assert AUTO not in {loaded.get_params()[key] for key in ("lr", "batch_size", "max_epochs", "min_count")}


def test_a_run_has_the_chosen_values_in_its_config(tmp_path):
    _, config = with_file(tmp_path, "dna", DNA, training={"max_epochs": 1})
    start_run(config, tmp_path / "run")
    create_run(config, tmp_path / "created")
    resume_run(tmp_path / "created")
    train_run(config, tmp_path / "compared", [], TASKS[config.task].prepare(config.data))
    found, *others = (read_run_config(tmp_path / name / "config.toml") for name in ("run", "created", "compared"))
    assert found.is_settled
    assert others == [found, found]
    assert (found.data.tokenizer, found.model.position, found.training.max_epochs) == ("nucleotides", "learned", 1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"position": "none"}, {"position": None, "conv_size": 64}),
        ({"conv_size": "none"}, {"position": "learned", "conv_size": None, "conv_pool": 1}),
        ({"conv_size": 6, "conv_pool": 2}, {"conv_size": 6, "kernel_size": 11, "conv_pool": 2}),
        ({"cell": "cnn"}, {"conv_size": None, "conv_pool": 1, "kernel_size": 11}),
        ({"cell": "none", "wide": "ngrams"}, {"position": None, "conv_size": None, "conv_pool": 1}),
        ({"bidirectional": False, "kernel_size": 4}, {"conv_size": 64, "kernel_size": 4}),
    ],
)
def test_given_layers_stay_and_the_others_go_with_them(given, expected, tmp_path):
    model = settle(with_file(tmp_path, "dna", DNA, model=given)[1]).model
    assert {key: getattr(model, key) for key in expected} == expected


def test_a_given_value_that_no_choice_goes_with_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="kernel_size: 4"):
        settle(with_file(tmp_path, "dna", DNA, model={"kernel_size": 4})[1])


def test_a_given_batch_size_is_not_replaced_by_tokens(tmp_path):
    ragged = [text[: 5 + row % 20] for row, text in enumerate(WORDS)]
    assert settle(with_file(tmp_path, "ragged", ragged)[1]).training.max_tokens is not None
    training = settle(with_file(tmp_path, "ragged", ragged, training={"batch_size": 7})[1]).training
    assert (training.batch_size, training.max_tokens) == (7, None)


def test_sequences_that_were_cut_to_one_length_are_not_aligned(tmp_path):
    ragged = [text[: 40 + row % 20] for row, text in enumerate(DNA)]
    config = settle(with_file(tmp_path, "dna", ragged, data={"max_length": 30})[1])
    assert (config.model.position, config.data.truncate) == (None, "head")


def test_the_size_of_series_may_matter_for_numbers():
    fitted = SequenceRegressor(max_epochs=1).fit([np.array(each) for each in SERIES], np.arange(ROWS))
    assert fitted.config_.data.scale == "channel"
    fitted = SequenceClassifier(max_epochs=1).fit([np.array(each) for each in SERIES], ["a", "b"] * (ROWS // 2))
    assert fitted.config_.data.scale == "series"


def test_pretrained_vectors_are_those_of_words(tmp_path):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("".join(f"{name} 0.5 1.0\n" for name in NAMES))
    arguments = {"max_epochs": 1, "embedding_size": 2, "validation_fraction": None}
    assert SequenceClassifier(**arguments).fit(NAMES, ["a", "b"] * 50).config_.data.tokenizer == "characters"
    fitted = SequenceClassifier(**arguments, vectors=str(vectors)).fit(NAMES, ["a", "b"] * 50)
    assert fitted.config_.data.tokenizer == "words"


@pytest.mark.parametrize(
    ("tags", "given", "expected"),
    [
        ("entities", {}, ("crf", True, "bioes", "f1")),
        ("entities", {"head": "softmax"}, ("softmax", False, "bioes", "f1")),
        ("entities", {"target_scheme": None, "monitor": "loss"}, ("crf", True, None, "loss")),
        ("words", {}, ("softmax", False, None, "accuracy")),
        ("words", {"head": "crf"}, ("crf", False, None, "accuracy")),
    ],
)
def test_a_tagger_suits_its_tags(tags, given, expected):
    y = (
        ENTITIES
        if tags == "entities"
        else [["name" if word[0] in "AB" else "verb" for word in words] for words in SENTENCES]
    )
    config = SequenceTagger(max_epochs=1, validation_fraction=None, **given).fit(SENTENCES, y).config_
    found = (config.model.head, config.model.constrained, config.data.target_scheme, config.training.monitor)
    assert found == expected


@pytest.mark.parametrize("is_new", [True, False])
def test_words_are_read_in_lower_case_if_fewer_are_then_new(is_new):
    sentences = [[f"Name{row % 4}".lower() if is_new and row % 5 == 0 else f"Name{row % 4}"] for row in range(20)]
    tagger = SequenceTagger(max_epochs=1, validation_fraction=None)
    assert tagger.fit(sentences, [["a"], ["b"]] * 10).config_.data.lowercase is is_new


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_leaves_nothing_to_choose(name):
    assert PRESETS[name]().is_settled


def test_the_textbook_preset_is_the_textbook_model():
    config = PRESETS["imdb-classic"]()
    model, training = config.model, config.training
    assert (model.bidirectional, model.pooling, model.dropout, model.conv_size) == (False, ["last"], 0.0, None)
    assert (training.batch_size, training.max_tokens, training.lr) == (32, None, 1e-3)
    assert (config.data.min_count, config.data.max_size, config.data.max_length) == (1, None, None)


@pytest.mark.parametrize("task", CONFIGS)
def test_a_run_of_an_earlier_version_has_the_defaults_of_that_version(task):
    text = f'task = "{task}"\n[data]\npath = "x.csv"\n'
    config = parse_toml(text, "config.toml")
    assert config.is_settled
    assert (config.model.dropout, config.training.lr, config.training.batch_size) == (0.0, 1e-3, 32)
    open_config = parse_config({"task": task, "data": {"path": "x.csv"}})
    assert parse_toml(to_toml(open_config), "config.toml") == open_config  # what is written out stays open


def test_a_search_starts_from_the_chosen_values(tmp_path):
    _, config = with_file(tmp_path, "dna", DNA)
    search = make_search(config, trials=1)
    assert search.config == settle(config)
    assert search.space["training.lr"].low == 2e-3 / 8


def test_without_a_tokenizer_the_type_of_the_sequences_decides_as_in_0_1(tmp_path):
    for kind in ("WORDS", "NAMES", "DNA"):
        _, config = with_file(tmp_path, kind, globals()[kind], data={"tokenizer": "none"})
        assert TASKS[config.task].prepare(config.data).encoder.tokenizer == "words"
    assert SequenceClassifier(max_epochs=1, tokenizer=None).fit(DNA, ["a", "b"] * 50).encoder_.tokenizer == "words"
