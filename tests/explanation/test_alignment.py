"""The alignment of windows, against planted shifts and brute force."""

import numpy as np
import pytest

from ostinato.explanation.alignment import align, count_letters, placings

WIDTH = 8
EVEN = np.full(4, 0.25)
WORD = np.array([3, 2, 0, 1, 3, 1, 1, 0])  # TGACTCCA
TURNED = (3 - WORD)[::-1]


@pytest.fixture
def windows():
    """60 random windows with their flanks, of which the first 40 hold the word shifted by −4 to 4, and the shifts."""
    rng = np.random.default_rng(0)
    codes, shifts = rng.integers(4, size=(60, 3 * WIDTH)), rng.integers(-4, 5, size=40)
    shifts[0] = 0  # the seed
    for row, shift in enumerate(shifts):
        codes[row, WIDTH + shift : 2 * WIDTH + shift] = WORD
    return codes, shifts


def test_shifts_are_undone(windows):
    codes, shifts = windows
    alignment = align(codes, EVEN, both_strands=False)
    assert alignment.is_member[:40].all()
    np.testing.assert_array_equal(alignment.placing[:40] - alignment.placing[0], shifts)
    assert alignment.is_member[40:].sum() <= 2  # random letters


def test_turned_windows_are_turned_back(windows):
    codes, shifts = windows
    codes[1:40:2] = (3 - codes[1:40:2])[:, ::-1]
    alignment = align(codes, EVEN, both_strands=True)
    strand, offset = np.divmod(alignment.placing[:40], WIDTH + 1)
    assert alignment.is_member[:40].all()
    np.testing.assert_array_equal(strand, np.arange(40) % 2)
    np.testing.assert_array_equal(offset - offset[0], shifts)


def test_gain_is_the_members_log_odds_less_their_choice_of_places(windows):
    codes, _ = windows
    alignment = align(codes, EVEN, both_strands=False)
    members = np.flatnonzero(alignment.is_member)
    aligned = [codes[row, alignment.placing[row] : alignment.placing[row] + 2 * WIDTH] for row in members]
    expected = 0.0
    for letters in aligned:
        for position, letter in enumerate(letters):
            same = sum(other[position] == letter for other in aligned)
            expected += np.log2((same + 0.25) / (len(aligned) + 1) / 0.25)
    assert alignment.gain == pytest.approx(expected - len(members) * np.log2(WIDTH + 1))


def test_placings_show_both_strands_and_keep_what_is_no_letter():
    codes = np.array([[0, 1, 4, 3, 2, 2]])  # A C N T G G, width 2: C C A N G T turned
    expected = [[0, 1, 4, 3], [1, 4, 3, 2], [4, 3, 2, 2], [1, 1, 0, 4], [1, 0, 4, 2], [0, 4, 2, 3]]
    np.testing.assert_array_equal(placings(codes, 4, both_strands=True), [expected])
    np.testing.assert_array_equal(placings(codes, 4, both_strands=False), [expected[:3]])


def test_what_is_no_letter_is_not_counted():
    np.testing.assert_array_equal(count_letters(np.array([[0, 4], [0, 3], [2, 4]]), 4), [[2, 0, 1, 0], [0, 0, 0, 1]])


def test_windows_without_letters_have_no_members():
    alignment = align(np.full((30, 3 * WIDTH), 4), EVEN, both_strands=False)
    assert not alignment.is_member.any() and alignment.gain == 0.0
