"""Configs in TOML and on the command line: complete when written, checked when read, every problem at once."""

import json
import re

import pytest

from ostinato.config import to_toml
from ostinato.errors import ConfigError
from ostinato.tasks import TASKS
from ostinato.tasks.config import PRESETS, json_schema, override, parse_config, read_config


def config(**data):
    return parse_config({"data": {"name": "majority", **data}})


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_a_round_trip_through_toml(name, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(to_toml(PRESETS[name]()))
    assert read_config(path) == PRESETS[name]()


@pytest.mark.parametrize(
    ("name", "own", "other"),
    [("imdb", "max_length =", "word_column"), ("conll2003-ner", "word_dropout =", "truncate")],
)
def test_toml_has_only_the_keys_of_its_task(name, own, other):
    assert own in to_toml(PRESETS[name]())
    assert other not in to_toml(PRESETS[name]())


def test_a_key_that_is_switched_off_stays_off_in_toml(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(to_toml(override(config(), ["training.patience=none", "training.max_grad_norm=none"])))
    assert 'patience = "none"' in path.read_text()
    assert read_config(path).training.patience is None
    assert read_config(path).training.max_grad_norm is None


def test_all_problems_are_reported_at_once_one_a_line():
    values = {
        "data": {"name": "majority", "tokenizr": "x"},
        "model": {"cell": "mingur", "hidden_size": 0},
        "training": {"lr": "fast", "patience": 2.5},
    }
    with pytest.raises(ConfigError) as caught:
        parse_config(values)
    expected = {
        "data.tokenizr": "'tokenizer'",
        "model.cell": "'mingru'",
        "model.hidden_size": "0",
        "training.lr": '"fast"',
        "training.patience": "2.5",
    }
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == list(expected)
    assert all(shown in line for line, shown in zip(lines, expected.values(), strict=True))


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ("model.cell=grru", "'gru'"),
        ("model.residual=1", "model.residual: 1"),
        ("modl.cell=gru", "'model.cell'"),
        ("hidden_size", "hidden_size"),
        ("data.tokenizer=word", "'words'"),
        ("data.tokenizer=kmers(0)", "'kmers(0)'"),
        ("data.train_size=1.5", "data.train_size: 1.5"),
        ("data.length=[40, 20]", "[40, 20]"),
        ("data.feature_columns=pos", "data.feature_columns: not a key of task classification"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_with_its_value(setting, shown):
    with pytest.raises(ConfigError, match=re.escape(shown)):
        override(config(), [setting])


def test_setting_a_path_replaces_the_named_set():
    data = override(config(), ["data.path=x.csv"]).data
    assert (data.name, data.path) == (None, "x.csv")


def test_settings_take_lists_numbers_and_plain_words():
    changed = override(
        config(), ['model.pooling=["last", "mean"]', "model.cell=gru", "training.lr=1e-2", "data.length=[5, 20]"]
    )
    assert changed.model.pooling == ["last", "mean"]
    assert (changed.model.cell, changed.training.lr, changed.data.length) == ("gru", 0.01, [5, 20])


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


@pytest.mark.parametrize("value", ["1+1", "[]", "pos+"])
def test_feature_columns_without_a_name_or_named_twice_are_refused(value):
    with pytest.raises(ConfigError, match="data.feature_columns"):
        override(PRESETS["conll2003-ner"](), [f"data.feature_columns={value}"])


def test_columns_may_be_given_as_numbers():
    data = override(PRESETS["conll2003-ner"](), ["data.path=x.conll", "data.word_column=1", "data.tag_column=-2"]).data
    assert (data.word_column, data.tag_column) == ("1", "-2")


def test_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no.toml"):
        read_config(tmp_path / "no.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[data\n")
    with pytest.raises(ConfigError, match="broken.toml.*line 1"):
        read_config(broken)


@pytest.mark.parametrize("task", [3, "taging", ["tagging"]])
def test_an_unknown_task_is_refused_with_those_there_are(task):
    with pytest.raises(ConfigError, match=rf"{re.escape(repr(task))}.*classification, .*tagging"):
        parse_config({"task": task, "data": {"name": "majority"}})


def test_the_schema_has_the_tables_and_keys_of_each_task_and_allows_no_others():
    schema = json.loads(json_schema())
    definitions = {f"#/$defs/{name}": definition for name, definition in schema["$defs"].items()}
    mapping = schema["discriminator"]["mapping"]
    assert set(mapping) == set(TASKS)
    assert [each["$ref"] for each in schema["oneOf"]] == list(mapping.values())
    for name, task in TASKS.items():
        properties = definitions[mapping[name]]["properties"]
        assert set(properties) == {"task", "search", *task.config.TABLES}
        for table in task.config.TABLES:
            definition = definitions[properties[table]["$ref"]]
            assert set(definition["properties"]) == set(task.config.model_fields[table].annotation.model_fields)
            assert definition["additionalProperties"] is False


DEEP = "[" * 5000 + "]" * 5000


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"length = {DEEP}", "nested too deeply"),
        (f"seed = {'9' * 6000}", "thousands of digits"),
        (f"seed = 0x{'F' * 6000}", "data.seed: an integer of 24,000 bits"),
        ("length = [[[[[[[[[[[1]]]]]]]]]]]", "data.length: nested too deeply"),
        ("length = 99999999999999999999", "data.length: an integer of 67 bits"),
        ('path = "a\\u0000.csv"', "data.path: .* NUL"),
        (f'tokenizer = "{"x" * 10_000}"', r"data.tokenizer: .*characters\)"),
        (f"length = {list(range(10_000))}", r"data.length: .*characters\)"),
    ],
)
def test_a_hostile_value_is_refused_in_a_short_line(line, expected, tmp_path):
    path = tmp_path / "hostile.toml"
    path.write_text(f'[data]\nname = "majority"\n{line}\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=f"hostile.toml: .*{expected}") as caught:
        read_config(path)
    assert len(str(caught.value)) < 5_000


@pytest.mark.parametrize("value", [DEEP, "9" * 6000, f"0x{'F' * 6000}"])
def test_a_hostile_setting_is_refused_in_a_short_line(value):
    with pytest.raises(ConfigError, match="data.seed: ") as caught:
        override(config(), [f"data.seed={value}"])
    assert len(str(caught.value)) < 500


def test_a_path_that_is_not_utf_8_is_refused():
    with pytest.raises(ConfigError, match="data.path: .*not valid Unicode"):
        override(config(), ["data.path=r\udcff.csv"])


def test_a_config_of_thousands_of_unknown_keys_is_answered_by_the_first():
    with pytest.raises(ConfigError) as caught:
        parse_config({"data": {"name": "majority"} | {f"key{number}": 1 for number in range(5_000)}})
    assert str(caught.value).count("\n") == 50
