"""Which windows are seqlets, by hand."""

import numpy as np
import pytest

from ostinato.explanation import Explanation
from ostinato.explanation.seqlets import codes_of, find_seqlets


def explained(sequence, scores):
    return Explanation(
        "occlusion",
        sequence,
        list(sequence),
        [(place, place + 1) for place in range(len(sequence))],
        np.asarray(scores, float),
        "yes",
        0.9,
    )


def bump(start, height=1.0, length=40):
    scores = np.zeros(length)
    scores[start : start + 4] = height
    return explained("ACGT" * (length // 4), scores)


@pytest.mark.parametrize(("count", "found"), [(19, 0), (20, 20), (50, 50)])
def test_one_in_twenty_may_be_chance_and_what_was_not_seen_counts_as_one(count, found):
    # shuffled, four ones of forty stand together with probability 37 / 91,390
    assert len(find_seqlets([bump(row % 30) for row in range(count)], "ACGT", 4).start) == found


def test_a_seqlet_is_the_highest_window_of_its_sequence_whatever_the_sequences_scale_and_brings_its_flanks():
    seqlets = find_seqlets([bump(10 + row % 3, 1 + row) for row in range(30)], "ACGT", 4)
    assert dict(zip(seqlets.sequence.tolist(), seqlets.start.tolist(), strict=True)) == {
        row: 10 + row % 3 for row in range(30)
    }
    for row, start, codes, scores in zip(*seqlets, strict=True):
        np.testing.assert_array_equal(scores, [0] * 4 + [1 + row] * 4 + [0] * 4)
        np.testing.assert_array_equal(codes, np.arange(start - 4, start + 8) % 4)


def test_what_stands_out_most_comes_first():
    rng = np.random.default_rng(0)
    noise = [0.02 * row * rng.normal(size=40) for row in range(30)]
    seqlets = find_seqlets([explained("ACGT" * 10, bump(20).scores + each) for each in noise], "ACGT", 4)
    heights = [
        seqlets.scores[at, 4:8].sum() / np.sqrt(np.mean((bump(20).scores + noise[row]) ** 2))
        for at, row in enumerate(seqlets.sequence)
    ]
    assert len(heights) >= 20 and heights == sorted(heights, reverse=True)


def test_beyond_the_ends_there_is_no_letter():
    seqlets = find_seqlets([bump(0 if row % 2 else 36) for row in range(30)], "ACGT", 4)
    for row, codes in zip(seqlets.sequence, seqlets.codes, strict=True):
        np.testing.assert_array_equal(codes, [4] * 4 + [0, 1, 2, 3] * 2 if row % 2 else [0, 1, 2, 3] * 2 + [4] * 4)


def test_two_in_one_sequence_are_two_and_overlapping_ones_are_one():
    apart, overlapping = np.zeros(40), np.zeros(40)
    apart[[5, 6, 7, 8, 20, 21, 22, 23]] = 5
    overlapping[5:11] = 5
    twice = find_seqlets([explained("ACGT" * 10, apart)] * 15 + [explained("ACGT" * 10, overlapping)] * 15, "ACGT", 4)
    assert sorted(zip(twice.sequence.tolist(), twice.start.tolist(), strict=True)) == sorted(
        [(row, start) for row in range(15) for start in (5, 20)] + [(row, 5) for row in range(15, 30)]
    )


def test_letters_that_are_none_have_the_last_code():
    assert codes_of(explained("ACNGT?", np.zeros(6)), "ACGT").tolist() == [0, 1, 4, 2, 3, 4]
