"""Joined encoders give each part's own encoding, row by row."""

import numpy as np
import pytest

from ostinato.data.encoder import SequenceEncoder
from ostinato.data.joined import JoinedEncoder
from ostinato.errors import DataError

TEXTS = ["good film", "a bad, bad film", "so so", "!!!"]


def encoders():
    return [SequenceEncoder.fit(TEXTS, tokenizer=name, max_length=6) for name in ("words", "characters")]


@pytest.mark.parametrize("texts", [TEXTS[:3], TEXTS[:1], []])
def test_every_part_has_its_own_tokens(texts):
    parts = encoders()
    found = JoinedEncoder.of(parts).encode(texts)
    for row, text in enumerate(texts):
        values = found.select([row]).values.numpy()
        for index, part in enumerate(parts):
            assert values[values[:, 0] == index, 1].tolist() == part.encode([text]).values.tolist()


def test_series_keep_the_scale_of_each_part():
    series = [np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[0.0, 1.0]])]
    parts = [SequenceEncoder.fit(rows, tokenizer="numeric") for rows in (series, [2 * each for each in series])]
    found = JoinedEncoder.of(parts).encode(series).values
    for index, part in enumerate(parts):
        own = found[found[:, 0] == index, 1:]
        assert (own == part.encode(series).values).all()


def test_a_sequence_without_tokens_for_one_part_is_empty():
    parts = encoders()
    assert parts[0].encode(["  "]).lengths.tolist() == [0] and parts[1].encode(["  "]).lengths.tolist() == [2]
    found = JoinedEncoder.of(parts).encode(["good", "  ", "film"])
    assert found.lengths.tolist() == [1 + 4, 0, 1 + 4] and len(found.values) == 10


def test_a_wrong_row_is_named():
    with pytest.raises(DataError, match="row 7"):
        JoinedEncoder.of(encoders()).encode(["good", 3], ["row 6", "row 7"])
