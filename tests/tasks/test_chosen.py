"""`--set` names a column or the tokenizer: it is taken as given, and the rest is inferred to fit it."""

import pytest

from ostinato.errors import DataError
from ostinato.tasks.infer import infer_config

OWN = "no,place,comment,verdict,stars\n" + "".join(
    f"{n},{place},{text},{'good' if n % 2 else 'bad'},{n * 37 % 101 / 10}\n"
    for n, (place, text) in enumerate([("Oslo 1", "a warm and funny film"), ("Rome", "a dull and slow one")] * 20)
)


def write_own(tmp_path):
    (tmp_path / "own.csv").write_text(OWN, encoding="utf-8")
    return tmp_path / "own.csv"


def test_named_columns_and_tokenizer_are_taken_and_the_rest_fits_them(tmp_path):
    path = write_own(tmp_path)
    assert infer_config(path).config.data.text_column == "comment"
    chosen = infer_config(path, ["data.label_column=verdict", "data.text_column=place", "data.tokenizer=characters"])
    data = chosen.config.data
    assert (data.label_column, data.text_column, data.tokenizer) == ("verdict", "place", "characters")
    assert sum(reason.endswith("as set") or ": as set," in reason for reason in chosen.reasons) == 3


def test_a_named_label_decides_the_task(tmp_path):
    path = write_own(tmp_path)
    assert infer_config(path, ["data.label_column=verdict"]).config.task == "classification"
    config = infer_config(path, ["data.target_columns=stars"]).config
    assert (config.task, config.data.target_columns) == ("regression", ["stars"])
    assert infer_config(path, ['data.target_columns=["stars"]']).config == config


@pytest.mark.parametrize("key", ["data.label_column", "data.text_column"])
def test_a_named_column_that_does_not_exist_is_refused_with_the_nearest(tmp_path, key):
    with pytest.raises(DataError, match=r"no column 'verdit'. Did you mean 'verdict'"):
        infer_config(write_own(tmp_path), [f"{key}=verdit"])


def test_a_label_that_no_rule_finds_can_be_named(tmp_path):
    rows = "".join(f"{n} {n * 7 % 13} words of text,{'abcdefgh'[n % 8]}\n" for n in range(20))
    (tmp_path / "small.csv").write_text(f"opinion,mark\n{rows}", encoding="utf-8")
    with pytest.raises(DataError, match="no column looks like a label"):
        infer_config(tmp_path / "small.csv")
    assert infer_config(tmp_path / "small.csv", ["data.label_column=mark"]).config.data.label_column == "mark"
