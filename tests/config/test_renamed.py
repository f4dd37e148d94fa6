"""Keys of version 0.1 are read under their present names: with one warning each, or silently in a run of 0.1."""

import shutil
import warnings
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import ostinato
from ostinato.config.reading import read_toml
from ostinato.config.renamed import RENAMED, present_names
from ostinato.errors import ConfigError
from ostinato.tasks.config import parse_config, read_config, read_run_config

GOLDEN = Path(__file__).parents[1] / "golden" / "v0_1"
CONFIGS = sorted(GOLDEN.glob("config-*.toml"))
VALUES = {
    "accumulate": 3,
    "clip_norm": 2.5,
    "warmup": 0.25,
    "vectors_beyond": 7,
    "vectors_on_fault": "skip",
    "capitals_size": 5,
}


def old_keys(path):
    tables = read_toml(path)
    return sorted(key for table in tables.values() if isinstance(table, dict) for key in table if key in RENAMED)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_of_0_1_reads_and_each_old_key_warns_once(path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        config = read_config(path)
    values = read_toml(path)
    obsolete = [key for key in type(config.data).OBSOLETE if key in values["data"]]
    assert sorted(str(each.message).split()[0] for each in caught) == sorted([*old_keys(path), *obsolete])
    assert {each.category for each in caught} <= {FutureWarning}
    for name in config.TABLES:
        for key in values[name].keys() - set(obsolete):
            read, given = getattr(getattr(config, name), RENAMED.get(key, key)), values[name][key]
            shown = "+".join(read) if key == "pooling" and isinstance(given, str) else read
            assert shown == (None if given == "none" else given), key


def test_the_configs_of_0_1_have_every_old_key():
    assert {key for path in CONFIGS for key in old_keys(path)} == set(RENAMED)


@pytest.mark.parametrize("name", ["run-classification", "run-tagging"])
def test_a_run_of_0_1_is_read_without_a_warning(name, tmp_path):
    shutil.copy(GOLDEN / name / "config.toml", tmp_path)
    assert old_keys(tmp_path / "config.toml")
    read_run_config(tmp_path / "config.toml")


@given(st.dictionaries(st.sampled_from([*RENAMED, *RENAMED.values(), "lr", "seed"]), st.integers()))
def test_present_names_keeps_every_value_and_warns_of_each_old_name(values):
    assume(not any(old in values and new in values for old, new in RENAMED.items()))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = present_names(values)
    assert {RENAMED.get(name, name): value for name, value in values.items()} == found
    assert sorted(str(each.message).split()[0] for each in caught) == sorted(values.keys() & RENAMED.keys())


def test_an_old_key_beside_its_new_name_is_refused():
    with pytest.raises(ConfigError, match="training: clip_norm"):
        parse_config({"data": {"name": "imdb"}, "training": {"clip_norm": 1.0, "max_grad_norm": 2.0}})


@pytest.mark.parametrize("old", [name for name in RENAMED if name != "capitals_size"])
def test_the_classifier_takes_arguments_of_0_1_with_a_warning(old):
    with pytest.warns(FutureWarning, match=old):
        model = ostinato.SequenceClassifier(**{old: VALUES[old]})
    assert model.get_params()[RENAMED[old]] == VALUES[old]
    with pytest.warns(FutureWarning, match=old):
        assert ostinato.SequenceClassifier().set_params(**{old: VALUES[old]}).get_params() == model.get_params()


def test_the_tagger_takes_arguments_of_0_1_with_a_warning():
    with pytest.warns(FutureWarning, match="capitals_size"):
        assert ostinato.SequenceTagger(capitals_size=5).word_shape_size == 5
