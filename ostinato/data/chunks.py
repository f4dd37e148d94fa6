"""Runs of sequences that are read, tokenized or hashed at once: they bound the memory for what lies between."""

from collections import abc
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

CHUNK_SIZE = 2**21  # characters or steps


def as_sequence(given: Iterable[Any]) -> abc.Sequence[Any]:
    """What can be read several times and has a length: itself, or a list of its items."""
    return given if isinstance(given, abc.Sequence) else list(given)


def raw_lengths(sequences: abc.Sequence[Any]) -> np.ndarray:
    """The characters, events or steps of each sequence, (B,) int64; 1 for what is no sequence."""
    if hasattr(sequences, "raw_lengths"):  # known without reading them
        return np.asarray(sequences.raw_lengths)
    return np.fromiter(map(_length, sequences), np.int64, len(sequences))


def _length(sequence: Any) -> int:
    return len(sequence) if hasattr(sequence, "__len__") and getattr(sequence, "ndim", 1) > 0 else 1


def chunks(sequences: abc.Sequence[Any]) -> Iterator[tuple[int, list[Any]]]:
    """Runs of sequences of about `CHUNK_SIZE` characters or steps, at least one, each after the number of its first."""
    ends = np.flatnonzero(np.diff(raw_lengths(sequences).cumsum() // CHUNK_SIZE)) + 1
    for begin, end in pairwise([0, *ends.tolist(), len(sequences)]):
        yield begin, list(sequences[begin:end])
