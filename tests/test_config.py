"""The config: every fault at once, complete TOML, and the same names as the layers and the estimator."""

import inspect
import json
from typing import get_args

import pytest
from ostinato.estimators import SequenceClassifier, SequenceTagger
from ostinato.presets import PRESETS

from ostinato.config import (
    OF_OTHER_TASKS,
    CellName,
    Config,
    DataConfig,
    EngineName,
    ModelConfig,
    PoolingName,
    TrainingConfig,
    json_schema,
    override,
    parse_config,
    read_config,
    to_toml,
)
from ostinato.errors import ConfigError
from ostinato.nn import CELLS, ENGINES, POOLINGS


def config(**data):
    return parse_config({"data": {"name": "majority", **data}})


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_a_round_trip_through_toml(name, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(to_toml(PRESETS[name]()))
    assert read_config(path) == PRESETS[name]()


@pytest.mark.parametrize(
    ("name", "own", "idle"), [("imdb", "max_length =", "word_column"), ("conll2003-ner", "word_dropout =", "truncate")]
)
def test_toml_has_the_keys_of_its_task_alone(name, own, idle):
    assert own in to_toml(PRESETS[name]())
    assert idle not in to_toml(PRESETS[name]())


@pytest.mark.parametrize(
    ("value", "columns"),
    [
        ("pos", ["pos"]),
        ("1+2", ["1", "2"]),
        ("1, 2", ["1", "2"]),
        ("2", ["2"]),
        ('["pos", 3]', ["pos", "3"]),
        ("none", None),
    ],
)
def test_feature_columns_are_names_or_numbers(value, columns):
    assert override(PRESETS["conll2003-ner"](), [f"data.feature_columns={value}"]).data.feature_columns == columns


def test_columns_may_be_given_as_numbers():
    data = override(PRESETS["conll2003-ner"](), ["data.path=x.conll", "data.word_column=1", "data.tag_column=-2"]).data
    assert (data.word_column, data.tag_column) == ("1", "-2")


def test_a_key_that_is_switched_off_stays_off_in_toml(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(to_toml(override(config(), ["training.patience=none", "training.clip_norm=none"])))
    assert 'patience = "none"' in path.read_text()
    assert read_config(path).training.patience is None
    assert read_config(path).training.clip_norm is None


def test_all_faults_are_reported_at_once_one_a_line():
    model, training = {"cell": "mingur", "hidden_size": 0}, {"lr": "fast", "patience": 2.5}
    with pytest.raises(ConfigError) as caught:
        parse_config({"data": {"name": "majority", "tokenizr": "x"}, "model": model, "training": training})
    lines = str(caught.value).splitlines()
    assert lines == [
        "config: data.tokenizr: unknown key. Did you mean 'tokenizer'? Choose from: "
        + ", ".join(sorted(DataConfig.model_fields))
        + ".",
        "config: model.cell: unknown value 'mingur'. Did you mean 'mingru'? Choose from: cnn, gru, lnlstm, lstm, mingru, minlstm, rnn.",
        "config: model.hidden_size: 0 is not usable. Expected: greater than or equal to 1.",
        'config: training.lr: "fast" is not usable. Expected: a valid number.',
        "config: training.patience: 2.5 is not usable. Expected: a valid integer.",
    ]


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("model.cell=grru", "Did you mean 'gru'"),
        ("model.residual=1", "model.residual: 1 is not usable"),
        ("modl.cell=gru", "Did you mean 'model.cell'"),
        ("hidden_size", "not of the form table.key=value"),
        ("data.tokenizer=word", "Did you mean 'words'"),
        ("data.tokenizer=kmers(0)", "unknown tokenizer"),
        ("data.train_size=1.5", "neither a number of rows"),
        ("data.length=[40, 20]", "neither a length"),
        ("data.feature_columns=pos", "data.feature_columns: of no use for task classification"),
        ("data.feature_columns=1+1", "1+1 names a column twice"),
        ("data.feature_columns=[]", "[] names no column"),
        ("data.feature_columns=pos+", "names no column"),
        ("data.path=x.csv", None),
    ],
)
def test_settings_are_checked(setting, fault):
    if fault is None:
        assert override(config(), [setting]).data.path == "x.csv"
    else:
        with pytest.raises(ConfigError) as caught:
            override(config(), [setting])
        assert fault in str(caught.value)


def test_settings_take_lists_numbers_and_plain_words():
    changed = override(
        config(), ['model.pooling=["last", "mean"]', "model.cell=gru", "training.lr=1e-2", "data.length=[5, 20]"]
    )
    assert (changed.model.pooling, changed.model.cell, changed.training.lr, changed.data.length) == (
        ["last", "mean"],
        "gru",
        0.01,
        [5, 20],
    )


def test_missing_or_broken_file_says_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="there is no such file"):
        read_config(tmp_path / "no.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[data\n")
    with pytest.raises(ConfigError, match="not a TOML file.*line 1"):
        read_config(broken)


def test_convolutions_that_cannot_be_are_refused_all_at_once():
    model = {"cell": "cnn", "bidirectional": True, "conv_size": 8, "kernel_size": 4, "engine": "native"}
    with pytest.raises(ConfigError) as caught:
        parse_config({"data": {"name": "majority"}, "model": model})
    assert str(caught.value).splitlines() == [
        "config: model.conv_size: 8 puts a convolution before recurrent layers, and cell cnn has none. Use num_layers and hidden_size instead.",
        "config: model.kernel_size: 4 has no step in its middle. Give an odd number, or bidirectional = false for windows that end with their step.",
        "config: model.pooling: last would show cell cnn the end of the sequence alone, as far as its windows reach. "
        "Give mean, max or attention; for tagging, a recurrent cell.",
        "config: model.engine: native runs recurrent layers, and cell cnn has none. Give auto or torch.",
    ]
    with pytest.raises(
        ConfigError, match="model.conv_pool: 2 pools what a convolution gives, and there is none. Give conv_size"
    ):
        parse_config({"data": {"name": "majority"}, "model": {"conv_pool": 2}})
    with pytest.raises(ConfigError, match="model.kernel_size: 6 has no step in its middle"):
        parse_config({"data": {"name": "majority"}, "model": {"conv_size": 8, "bidirectional": True, "kernel_size": 6}})


@pytest.mark.parametrize(
    "model",
    [
        {"cell": "cnn", "kernel_size": 4, "pooling": "max"},
        {"cell": "cnn", "bidirectional": True, "pooling": ["last", "mean"], "engine": "torch"},
        {"cell": "gru", "conv_size": 8, "conv_pool": 3, "kernel_size": 2},
        {"cell": "lstm", "bidirectional": True, "kernel_size": 4},  # of no convolution
    ],
)
def test_convolutions_that_can_be_survive_a_round_trip(model, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(to_toml(parse_config({"data": {"name": "majority"}, "model": model})))
    assert read_config(path).model == ModelConfig(**model)


def test_data_needs_one_source():
    for data in ({}, {"name": "imdb", "path": "x.csv"}):
        with pytest.raises(ConfigError, match="either name"):
            parse_config({"data": data})


def test_names_in_the_config_are_those_of_the_tables():
    assert {name.partition("_")[0] for name in CELLS} | {"cnn"} == set(get_args(CellName))
    assert {"auto", *ENGINES} == set(get_args(EngineName))
    assert set(POOLINGS) == set(get_args(PoolingName))


@pytest.mark.parametrize(
    ("estimator", "task", "of_data", "others"),
    [
        (SequenceClassifier, "classification", {"tokenizer", "max_length", "truncate"}, {}),
        (SequenceTagger, "tagging", {"scheme", "target_scheme", "lowercase"}, {"bidirectional": True, "head": "crf"}),
    ],
)
def test_estimators_have_the_config_s_keys_and_defaults(estimator, task, of_data, others):
    parameters = {name: parameter.default for name, parameter in inspect.signature(estimator).parameters.items()}
    own = {
        "validation_fraction",
        "verbose",
        "min_count",
        "max_size",
        "vectors",
        "vectors_beyond",
        "vectors_on_fault",
        *of_data,
    }
    idle = {key.partition(".")[2] for key in OF_OTHER_TASKS[task]} | {"checkpoint_every_s"}
    for table in (ModelConfig, TrainingConfig):
        for name in table.model_fields.keys() - idle:
            default = parameters.pop(name)
            assert ([default] if name == "pooling" else default) == others.get(
                name, table.model_fields[name].default
            ), name
    assert set(parameters) == own


def test_schema_is_json_and_describes_every_table():
    schema = json.loads(json_schema())
    assert {"data", "model", "training"} <= set(schema["properties"])
    assert Config.model_fields.keys() == schema["properties"].keys()
