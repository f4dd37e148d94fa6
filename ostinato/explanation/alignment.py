"""Alignment of windows of letters into one matrix.

A matrix starts from one window. Each window is placed where it fits the matrix best. Windows that are likelier there
than under the letters' frequencies, and have at least a share of the bits of the best possible letters, make the next
matrix, until it no longer changes. The share is 0.6 at first, to separate motifs with a common part, and 0.2 at the
end, to include weak sites. Of the 50 strongest windows, the start is the one whose matrix explains most.

Source: MEME's model of zero or one occurrence per sequence (Bailey & Elkan 1994), with the best position instead of
expectations.
"""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

SEEDS = 50
STRICT, LOOSE = 0.6, 0.2
MAX_ROUNDS = 50


class Alignment(NamedTuple):
    """Where each window is on the matrix.

    Args:
        placing: (n,) strand · (width + 1) + offset, an index into what `placings` gives.
        is_member: (n,) whether the window is one of those that make the matrix.
        gain: by how many bits the members are likelier under the matrix than under the letters' frequencies.
    """

    placing: np.ndarray
    is_member: np.ndarray
    gain: float


def align(codes: np.ndarray, frequencies: np.ndarray, *, both_strands: bool) -> Alignment:
    """Align windows to the matrix that explains most.

    Shapes:
        codes (n, 3 · width) of windows and their flanks, the strongest first, A where there is no letter;
        frequencies (A,).
    """
    windows = placings(codes, len(frequencies), both_strands=both_strands)
    alignment = max(
        (_place(windows, _log_odds(seed, frequencies), STRICT) for seed in _seeds(codes, len(frequencies))),
        key=lambda each: each.gain,
    )
    for share in (STRICT, LOOSE):
        for _ in range(MAX_ROUNDS):
            before = alignment
            members = windows[before.is_member, before.placing[before.is_member]]
            alignment = _place(windows, _log_odds(members, frequencies), share)
            if np.array_equal(alignment.placing, before.placing) and np.array_equal(
                alignment.is_member, before.is_member
            ):
                break
    return alignment


def placings(codes: np.ndarray, num_letters: int, *, both_strands: bool) -> np.ndarray:
    """The letters under a matrix of 2 · width positions at each of its offsets.

    (n, 3 · width) -> (n, strands · (width + 1), 2 · width).
    """
    strands = [codes]
    if both_strands:  # A C G T become T G C A
        strands.append(np.where(codes == num_letters, num_letters, num_letters - 1 - codes)[:, ::-1])
    return np.concatenate([sliding_window_view(strand, codes.shape[1] // 3 * 2, axis=1) for strand in strands], axis=1)


def count_letters(windows: np.ndarray, num_letters: int) -> np.ndarray:
    """How often each letter is at each position. (n, M) -> (M, A)."""
    return np.stack([np.bincount(column, minlength=num_letters + 1)[:num_letters] for column in windows.T])


def _seeds(codes: np.ndarray, num_letters: int) -> np.ndarray:
    """The strongest windows in the middle of a matrix, without letters in the flanks. Returns (seeds, 1, 2 · width)."""
    width = codes.shape[1] // 3
    left = width // 2
    around = ((0, 0), (0, 0), (left, width - left))
    return np.pad(codes[:SEEDS, None, width : 2 * width], around, constant_values=num_letters)


def _place(windows: np.ndarray, log_odds: np.ndarray, share: float) -> Alignment:
    """Each window's best offset on a matrix (M, A + 1); members have that share of the highest possible bits."""
    bits = np.zeros(windows.shape[:2])
    for position in np.flatnonzero(log_odds.any(axis=1)):
        bits += log_odds[position][windows[:, :, position]]
    best, by_chance = bits.max(axis=1), np.log2(windows.shape[1])
    is_member = best >= max(by_chance, share * log_odds.max(axis=1).sum())
    return Alignment(bits.argmax(axis=1), is_member, float((best[is_member] - by_chance).sum()))


def _log_odds(windows: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Bits of evidence of each letter at each position for a matrix; 0 for no letter. (n, M) -> (M, A + 1)."""
    counts = count_letters(windows, len(frequencies))
    probabilities = (counts + frequencies) / (counts.sum(axis=1, keepdims=True) + 1)
    return np.pad(np.log2(probabilities / frequencies), ((0, 0), (0, 1)))
