"""Positions in sequences that lie end to end."""

import numpy as np


def spans(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(N,) int64: the positions start, start + 1, … of each span, end to end; `starts` and `lengths` are (B,) int64."""
    positions = np.repeat(starts - lengths.cumsum() + lengths, lengths)
    positions += np.arange(len(positions))
    return positions
