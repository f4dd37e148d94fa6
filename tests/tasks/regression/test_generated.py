"""Generated numbers are what brute force finds in the sequences."""

from collections import Counter

import numpy as np
import pytest

from ostinato.data.generated import MOTIF
from ostinato.errors import ConfigError
from ostinato.tasks.regression.generated import count_ones, motif_position


def test_number_is_the_count_of_ones():
    sequences, targets = count_ones(300, (5, 12), np.random.default_rng(0))
    assert len(set(sequences)) == 300
    assert [row["target"] for row in targets] == [sequence.count("1") for sequence in sequences]
    assert {len(sequence) for sequence in sequences} == set(range(5, 13))


def test_number_is_the_position_of_the_only_motif():
    sequences, targets = motif_position(300, (20, 30), np.random.default_rng(0))
    assert len(set(sequences)) == 300
    assert {sequence.count(MOTIF) for sequence in sequences} == {1}
    assert [row["target"] for row in targets] == [sequence.index(MOTIF) for sequence in sequences]


def test_every_position_is_as_likely():
    _, targets = motif_position(3000, (17, 17), np.random.default_rng(0))
    counts = Counter(row["target"] for row in targets)
    assert set(counts) == set(range(10))
    assert max(counts.values()) < 1.3 * min(counts.values())


@pytest.mark.parametrize("generator", [count_ones, motif_position])
def test_too_short_sequences_are_refused(generator):
    with pytest.raises(ConfigError, match=r"\[3, 3\]"):
        generator(50, (3, 3), np.random.default_rng(0))
