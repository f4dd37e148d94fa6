"""Keys of version 0.1 are read under their present names: with one warning each, or silently in a run of 0.1."""

import shutil
import tomllib
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ostinato
from ostinato.config.renamed import RENAMED, present_names
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
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return sorted(key for table in tables.values() if isinstance(table, dict) for key in table if key in RENAMED)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_of_0_1_reads_and_each_old_key_warns_once(path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        config = read_config(path)
    assert sorted(str(each.message).split()[0] for each in caught) == old_keys(path) != []
    assert {each.category for each in caught} == {FutureWarning}
    given = tomllib.loads(path.read_text(encoding="utf-8"))
    for name in config.TABLES:
        for key, value in given[name].items():
            read = getattr(getattr(config, name), RENAMED.get(key, key))
            assert read == (None if value == "none" else value), key


@pytest.mark.parametrize("name", ["run-classification", "run-tagging"])
def test_a_run_of_0_1_is_read_without_a_warning(name, tmp_path):
    shutil.copy(GOLDEN / name / "config.toml", tmp_path)
    assert old_keys(tmp_path / "config.toml")
    read_run_config(tmp_path / "config.toml")


@given(st.dictionaries(st.sampled_from([*RENAMED, *RENAMED.values(), "lr", "seed"]), st.integers()))
def test_present_names_keeps_every_value_and_warns_of_each_old_name(values):
    if any(old in values and new in values for old, new in RENAMED.items()):
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = present_names(values)
    assert {RENAMED.get(name, name): value for name, value in values.items()} == found
    assert sorted(str(each.message).split()[0] for each in caught) == sorted(values.keys() & RENAMED.keys())


def test_an_old_key_beside_its_new_name_is_refused():
    with pytest.warns(FutureWarning, match="clip_norm"), pytest.raises(ostinato.OstinatoError, match="clip_norm"):
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
