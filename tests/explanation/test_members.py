"""Scores and masks are carried from the tokens of one member to those of another."""

import numpy as np
import pytest

from ostinato.explanation.members import carried, carried_masks

WORDS = [(0, 4), (5, 9)]  # "good film"
LETTERS = [(position, position + 1) for position in range(9)]


def test_letters_give_their_scores_to_their_word():
    scores = np.array([1, 2, 3, 4, 100, 5, 6, 7, 8.0])  # 100: the space, which no word has
    assert carried(scores, LETTERS, WORDS).tolist() == [10, 26]


def test_a_word_spreads_its_score_over_its_letters():
    assert carried(np.array([4.0, 8.0]), WORDS, LETTERS).tolist() == [1, 1, 1, 1, 0, 2, 2, 2, 2]


def test_tokens_that_overlap_share_a_score():
    kmers = [(0, 2), (1, 3)]
    assert carried(np.array([3.0]), [(0, 3)], kmers).tolist() == pytest.approx([1.5, 1.5])


def test_scores_beyond_what_the_other_reads_are_left_out():
    assert carried(np.array([1.0, 2.0]), WORDS, [(0, 4)]).tolist() == [1]


def test_a_masked_word_masks_its_letters():
    masks = np.array([[True, False], [False, False], [True, True]])
    found = carried_masks(masks, WORDS, LETTERS)
    assert found.astype(int).tolist() == [[1, 1, 1, 1, 0, 0, 0, 0, 0], [0] * 9, [1, 1, 1, 1, 0, 1, 1, 1, 1]]
