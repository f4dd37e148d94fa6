"""What is inferred from a file of tagged sentences; a config that is inferred must prepare its data."""

import pytest

from ostinato.errors import DataError
from ostinato.tasks import TASKS
from ostinato.tasks.infer import infer_config
from ostinato.tasks.tagging.defaults import BATCH_SIZES, STEPS

SENTENCE = ["Ann NN B-PER", "met VB O", "Bo NN B-PER", "Smith NN I-PER", "in IN O", "Rome NN B-LOC"]


def write(folder, *, first=SENTENCE, count=60):
    others = [
        [f"{line.split()[0]}{number} {' '.join(line.split()[1:])}" for line in SENTENCE] for number in range(count)
    ]
    path = folder / "some.conll"
    path.write_text("".join("\n".join(lines) + "\n\n" for lines in [first, *others]), encoding="utf-8")
    return path


def prepared(config):
    return TASKS[config.task].prepare(config.data)


def test_one_ill_formed_tag_is_repaired_and_named_with_its_line(tmp_path):
    config, reasons = infer_config(write(tmp_path, first=["Ann NN I-PER", *SENTENCE[1:]]))
    assert (config.data.scheme, config.data.repair_tags) == ("iob2", True)
    assert any("1 of 366 tags" in reason and "line 1: I-PER → B-PER" in reason for reason in reasons)
    assert prepared(config).audit.repairs.tags == 1


def test_well_formed_tags_need_no_repair(tmp_path):
    config, _ = infer_config(write(tmp_path))
    assert not config.data.repair_tags


@pytest.mark.parametrize("line", [0, 3], ids=["the first line is wider", "a later line is wider"])
def test_lines_of_unequal_width_are_read_by_columns_from_the_start(tmp_path, line):
    first = [f"{each} x y" if number == line else each for number, each in enumerate(SENTENCE)]
    config, reasons = infer_config(write(tmp_path, first=first))
    assert (config.data.word_column, config.data.tag_column) == ("0", "2")
    assert any("tag_column = 2" in reason and "some.conll, line" in reason for reason in reasons)
    assert "PER" in str(prepared(config).audit.to_json())


def test_lines_that_lack_the_tag_are_refused_with_the_settings_that_choose_columns(tmp_path):
    with pytest.raises(DataError, match=r"line 2: 1 columns.*data\.tag_column"):
        infer_config(write(tmp_path, first=["Ann NN B-PER", "met"]))


@pytest.mark.parametrize("count", [450, 900, 3_000])
def test_small_files_get_small_batches_and_about_as_many_steps(tmp_path, count):
    training = infer_config(write(tmp_path, count=count))[0].training
    rows = 0.7 * (count + 1)
    assert training.batch_size == next(size for most, size in BATCH_SIZES if rows <= most)
    steps = training.max_epochs * rows / training.batch_size
    assert 0.6 * STEPS <= steps <= 1.3 * STEPS


def test_words_are_looked_up_in_lower_case_if_that_makes_more_of_them_known(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text(
        "".join(f"{'The' if n % 5 == 0 else 'the'} D\nend{n % 3} N\n\n" for n in range(60)), encoding="utf-8"
    )
    config, reasons = infer_config(path)
    assert config.data.lowercase
    assert any("50.0% of the words are new as written, 0.0% in lower case" in reason for reason in reasons)
    assert not infer_config(write(tmp_path))[0].data.lowercase
