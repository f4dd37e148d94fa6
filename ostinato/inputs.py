"""What a user hands to an estimator, as plain lists: sequences, labels, and what to call each in a message."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ostinato.errors import DataError


class Rows(NamedTuple):
    """Sequences and labels as they were given, and what to call each in a message."""

    sequences: list[Any]
    labels: list[Any]
    places: list[str]

    @classmethod
    def of(cls, X: Iterable[Any], y: Iterable[Hashable], name: str) -> "Rows":
        """X and y, one label a sequence; `name` and a number, from 0, name a row."""
        sequences, labels = as_sequences(X), list(y)
        if len(sequences) != len(labels):
            raise DataError(
                f"X has {len(sequences)} sequences and y has {len(labels)} labels: give one label a sequence."
            )
        for row, label in enumerate(labels):
            if not isinstance(label, Hashable):
                raise DataError(
                    f"label {row} is a {type(label).__name__}, {label!r}: give one hashable label a sequence, as y.ravel() of a column."
                )
        return cls(sequences, labels, [f"{name} {row}" for row in range(len(sequences))])

    def select(self, rows: Iterable[int]) -> "Rows":
        rows = list(rows)
        return Rows(*([part[row] for row in rows] for part in self))


def as_sequences(X: Iterable[Any]) -> list[Any]:
    """A list of strings, of lists of strings, and of arrays."""
    if isinstance(X, str):
        raise DataError(f"X is the one string {X[:40]!r}: give a list of sequences, as [{X[:10]!r}].")
    if isinstance(X, Mapping) or hasattr(X, "columns"):
        raise DataError(f"X is a {type(X).__name__}: give one column of it, as X['text'].")
    return [
        list(each)
        if isinstance(each, tuple)
        else each.tolist()
        if isinstance(each, np.ndarray) and each.dtype.kind in "UO"
        else each
        for each in X
    ]


def identity(sequence: Any) -> Hashable:
    """Equal for equal sequences."""
    if isinstance(sequence, str):
        return sequence
    return repr(sequence.tolist() if isinstance(sequence, np.ndarray) else sequence)


def guess_tokenizer(sequences: list[Any]) -> str:
    """`words` for strings, `events` for lists of strings, `numeric` for all else."""
    first = sequences[0] if sequences else ""
    if isinstance(first, str):
        return "words"
    return "events" if isinstance(first, list) and all(isinstance(token, str) for token in first) else "numeric"
