"""Positions in sequences that lie end to end."""

from typing import Any

import numpy as np


def spans(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(N,) int64: the positions start, start + 1, … of each span, end to end; `starts` and `lengths` are (B,) int64."""
    positions = np.repeat(starts - lengths.cumsum() + lengths, lengths)
    positions += np.arange(len(positions))
    return positions


def padded(values: np.ndarray, starts: np.ndarray, lengths: np.ndarray, dtype: Any) -> np.ndarray:
    """Sequences side by side, filled up with zeros: (N, …) -> (B, T, …), where T is the longest, at least 1."""
    batch = np.zeros((len(lengths), max(int(lengths.max(initial=0)), 1), *values.shape[1:]), dtype)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    batch[rows, spans(np.zeros_like(lengths), lengths)] = values[spans(starts, lengths)]
    return batch
