"""The error tree, and the suggestion for a misspelt name."""

import pytest

from ostinato import errors


def test_every_error_shares_one_base():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) >= 7
    assert all(issubclass(kind, errors.OstinatoError) for kind in kinds)


def test_an_unknown_name_is_refused_with_the_nearest_one_and_the_whole_list():
    with pytest.raises(errors.ConfigError) as caught:
        errors.look_up({"lstm": 1, "gru": 2, "rnn": 3}, "lsmt", "cell")
    assert str(caught.value) == "Unknown cell 'lsmt'. Did you mean 'lstm'? Choose from: gru, lstm, rnn."


def test_missing_extra_names_its_install_command():
    assert "pip install 'ostinato[dna]'" in str(errors.MissingExtraError("dnaio", "dna", "reading FASTA"))
