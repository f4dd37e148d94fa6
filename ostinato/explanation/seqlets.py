"""Seqlets: windows of explained letters that speak for a label more than expected by chance.

A seqlet's scores add up to more than those of any window that overlaps it. Sums are in units of the root mean square of
the sequence's scores. The threshold comes from the same search in shuffled scores of each sequence: it is the lowest
one at which these have at most 5 % as many windows.

Sources: seqlets as in TF-MoDISco (Shrikumar et al. 2018, arXiv:1811.00416); the threshold is knockoff+ (Barber & Candès
2015, arXiv:1404.5609, equation 1.9) with shuffled scores as the knockoffs.
"""

from collections.abc import Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ostinato.explanation.explanation import Explanation

FALSE_SEQLETS = 0.05  # the share of seqlets that may be chance


class Seqlets(NamedTuple):
    """n windows with flanks of the same width, the strongest first; the code A stands for no letter.

    Shapes:
        sequence (n,) the explanation's index, start (n,) the position there; codes and scores (n, 3 · width).
    """

    sequence: np.ndarray
    start: np.ndarray
    codes: np.ndarray
    scores: np.ndarray

    def select(self, chosen: np.ndarray) -> "Seqlets":
        """The windows at these indices, or where this is True."""
        return Seqlets(*(field[chosen] for field in self))


def codes_of(explanation: Explanation, letters: str) -> np.ndarray:
    """The index of each letter (T,); A for tokens that are not in the alphabet."""
    table = {letter: code for code, letter in enumerate(letters)}
    return np.fromiter(map(table.get, explanation.tokens, repeat(len(letters))), np.int64, len(explanation.tokens))


def find_seqlets(explanations: Sequence[Explanation], letters: str, width: int) -> Seqlets:
    """Find the windows of `width` letters that score above chance."""
    explained = _lay_end_to_end(explanations, letters)
    scores = _scaled_by_stretch(explained.scores, explained.stretch)
    starts, sums = _peaks(scores, explained.stretch, width)
    shuffled = np.lexsort((np.random.default_rng(0).random(len(scores)), explained.stretch))
    _, chance = _peaks(scores[shuffled], explained.stretch, width)
    clearest = (-sums).argsort(kind="stable")
    core = starts[clearest[: _num_above_chance(sums[clearest], chance)]]
    around = core[:, None] + np.arange(-width, 2 * width)  # (n, 3 · width)
    inside = around.clip(0, len(explained.codes) - 1)
    is_there = (around == inside) & (explained.stretch[inside] == explained.stretch[core][:, None])
    codes = np.where(is_there, explained.codes[inside], len(letters))
    scores = np.where(is_there, explained.scores[inside], 0.0)
    return Seqlets(explained.sequence[core], explained.position[core], codes, scores)


class _Explained(NamedTuple):
    """All letters end to end (N,). `stretch` numbers contiguous parts: a sequence, or one side of a truncation."""

    codes: np.ndarray
    scores: np.ndarray
    sequence: np.ndarray
    position: np.ndarray
    stretch: np.ndarray


def _lay_end_to_end(explanations: Sequence[Explanation], letters: str) -> _Explained:
    codes = np.concatenate([codes_of(each, letters) for each in explanations])
    scores = np.concatenate([each.scores for each in explanations])
    sequence = np.repeat(np.arange(len(explanations)), [len(each.scores) for each in explanations])
    position = np.array([start for each in explanations for start, _ in each.offsets], np.int64)
    breaks = (np.diff(sequence, prepend=-1) != 0) | (np.diff(position, prepend=-1) != 1)
    return _Explained(codes, scores, sequence, position, breaks.cumsum() - 1)


def _scaled_by_stretch(scores: np.ndarray, stretch: np.ndarray) -> np.ndarray:
    squares = np.bincount(stretch, scores**2) / np.bincount(stretch)
    scaled: np.ndarray = scores / np.sqrt(np.where(squares > 0, squares, 1.0))[stretch]
    return scaled


def _peaks(scores: np.ndarray, stretch: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts and sums of the windows in one stretch that no overlapping window exceeds; the first of equal ones."""
    if len(scores) < width:
        return np.empty(0, np.int64), np.empty(0)
    is_whole = stretch[: len(stretch) - width + 1] == stretch[width - 1 :]
    sums = np.where(is_whole, np.convolve(scores, np.ones(width), "valid"), -np.inf)
    reach = sliding_window_view(np.pad(sums, width - 1, constant_values=-np.inf), 2 * width - 1)
    starts = np.flatnonzero((reach.argmax(axis=1) == width - 1) & np.isfinite(sums))
    return starts, sums[starts]


def _num_above_chance(sums: np.ndarray, chance: np.ndarray) -> int:
    """How many of the sums, in descending order, are seqlets."""
    as_high = len(chance) - np.sort(chance).searchsorted(sums)  # chance's sums that reach each
    enough = (1 + as_high <= FALSE_SEQLETS * np.arange(1, len(sums) + 1)) & (sums > 0)
    return int(np.flatnonzero(enough).max(initial=-1)) + 1
