"""The candidates for files of different kinds: complete, different, and right for the data."""

import random

import pytest

from ostinato.tasks import TASKS
from ostinato.tasks.config import override
from ostinato.tasks.infer import infer_config

rng = random.Random(0)


def texts(rows):
    return [" ".join(rng.choice("abcdefgh") for _ in range(rng.randint(2, 9))) for _ in range(rows)]


def write(path, sequences):
    lines = [f"{sequence},{'ab'[number % 2]}\n" for number, sequence in enumerate(sequences)]
    path.write_text("text,label\n" + "".join(lines), encoding="utf-8")
    return path


def candidates(path, *settings):
    config = override(infer_config(path).config, settings)
    task = TASKS[config.task]
    data = task.prepare(config.data)
    found = task.portfolio(config, data)
    for each in found:
        task.check(each.config, data)
        assert override(each.config, []) == each.config  # its keys agree with each other
        assert each.config.data == config.data
    names = [each.name for each in found]
    assert len(set(names)) == len(names)
    assert all(each.config != other.config for each in found for other in found if each is not other)
    return {each.name: each for each in found}


def test_text_gets_a_linear_model_first_then_a_wide_one(tmp_path):
    found = candidates(write(tmp_path / "a.csv", texts(100)), "data.tokenizer=words")
    assert list(found)[:2] == ["linear", "wide-gru"]
    assert [name for name, each in found.items() if each.is_linear] == ["linear"]
    assert found["wide-gru"].config.model.wide == "ngrams" and found["gru"].config.model.wide is None
    assert len(found) >= 8


def test_dna_gets_convolutions_as_wide_as_a_motif(tmp_path):
    windows = ["".join(rng.choice("ACGT") for _ in range(60)) for _ in range(100)]
    found = candidates(write(tmp_path / "dna.csv", windows))
    assert found["cnn"].config.model.kernel_size == found["cnn-gru"].config.model.kernel_size == 11


def test_dna_gets_a_fast_convolution_second(tmp_path):
    windows = ["".join(rng.choice("ACGT") for _ in range(60)) for _ in range(100)]
    found = candidates(write(tmp_path / "dna.csv", windows))
    assert list(found)[:2] == ["linear", "cnn"]
    model = found["cnn"].config.model
    assert model.embedding_size == 6  # A C G T N and unknown
    assert model.pooling == ["max"] and model.position is None and found["gru"].config.model.position == "learned"
    faster = candidates(write(tmp_path / "dna.csv", windows), "model.embedding_size=4")
    assert faster["cnn"].config.model.embedding_size == 4


def wide_settings(path, *settings):
    found = candidates(path, *settings)
    linear, deep = (found[name].config.model for name in ("linear", "wide-gru"))
    assert (linear.wide_letters, linear.wide_ends) == (deep.wide_letters, deep.wide_ends)
    return linear.wide_letters, linear.wide_ends


def test_short_texts_get_parts_of_words_or_ends(tmp_path):
    short, long = (write(tmp_path / f"{size}.csv", [letters(size) for _ in range(60)]) for size in (4, 90))
    assert wide_settings(short, "data.tokenizer=words") == (5, False)
    assert wide_settings(long, "data.tokenizer=words", "data.max_length=none") == (0, False)
    assert wide_settings(short, "data.tokenizer=characters") == (0, True)
    assert wide_settings(long, "data.tokenizer=characters", "data.max_length=none") == (0, False)


def letters(size):
    return " ".join(rng.choice("abcdefghijkl") for _ in range(size))


def test_windows_are_no_wider_than_the_sequences(tmp_path):
    words = ["".join(rng.choice("abcdefghijk") for _ in range(rng.randint(2, 4))) for _ in range(100)]
    found = candidates(write(tmp_path / "names.csv", words), "data.tokenizer=characters")
    assert found["cnn"].config.model.kernel_size == 3


def test_small_data_get_a_tiny_network_and_long_sequences_a_fast_cell(tmp_path):
    short = candidates(write(tmp_path / "short.csv", texts(100)), "data.tokenizer=words")
    assert short["tiny-gru"].config.model.hidden_size == 16 and "mingru" not in short
    long = [" ".join(rng.choice("abcdefgh") for _ in range(600)) for _ in range(60)]
    found = candidates(write(tmp_path / "long.csv", long), "data.tokenizer=words", "data.max_length=none")
    assert found["mingru"].config.model.cell == "mingru"
    assert found["cnn-gru"].config.model.conv_pool > 1


@pytest.mark.parametrize("column", ["label", "target"])
def test_series_get_kernels_instead_of_ngrams(tmp_path, column):
    values = [f"{0.37 * number}" if column == "target" else f'"{"ab"[number % 2]}"' for number in range(100)]
    rows = [[[rng.random(), rng.random()] for _ in range(rng.randint(3, 9))] for _ in values]
    lines = [f'{{"series": {row}, "{column}": {value}}}\n' for row, value in zip(rows, values, strict=True)]
    path = tmp_path / "series.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    found = candidates(path)
    assert {name for name, each in found.items() if each.config.model.wide == "kernels"} == {"linear", "wide-gru"}
