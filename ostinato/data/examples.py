"""Rows of a data set: a sequence with its target, and where it comes from; sentences, for taggers."""

from collections import abc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import numpy as np

Sequence = str | list[str] | np.ndarray  # a text, a list of events, a float64 series of shape (T, channels)


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a data file; `source` says which, as in `train.csv, row 17`. An unlabelled row has the target None."""

    sequence: Sequence
    target: Any
    split: str | None
    group: str | None
    source: str


@dataclass(frozen=True)
class Records:
    """Rows as columns of one length.

    Args:
        sequences: as lists do, give a selection for a slice.
        targets: None: a row is not labelled.
        sources: where each row comes from.
        weights: of each row; None: 1.
        splits, groups: what the columns of the file say; None: there are none.
        keys: (B,) 16 bytes each, equal for sequences that the tokenizer reads alike; None: not computed.
    """

    sequences: abc.Sequence[Any]
    targets: list[Any]
    sources: abc.Sequence[str]
    weights: list[float] | None = None
    splits: list[str | None] | None = None
    groups: list[str | None] | None = None
    keys: np.ndarray | None = field(default=None, compare=False)

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Records":
        """The records as columns."""
        rows = list(records)
        return cls(
            [row.sequence for row in rows],
            [row.target for row in rows],
            [row.source for row in rows],
            splits=[row.split for row in rows],
            groups=[row.group for row in rows],
        )

    def __len__(self) -> int:
        return len(self.sequences)

    def __iter__(self) -> Iterator[Record]:
        for sequence, target, source in zip(self.sequences, self.targets, self.sources, strict=True):
            yield Record(sequence, target, None, None, source)

    def select(self, indices: Iterable[int] | np.ndarray) -> "Records":
        """The rows at `indices`, in that order."""
        chosen = np.fromiter(indices, np.int64)
        return Records(*(selected(getattr(self, column.name), chosen) for column in fields(self)))

    def plain(self) -> "Records":
        """The same rows without splits, groups and keys, which only drawing the splits needs."""
        return replace(self, splits=None, groups=None, keys=None)


def selected(column: Any, indices: np.ndarray) -> Any:
    """The items of a column at `indices`, in that order: of a list, of an array, or of what has a `select`."""
    if isinstance(column, list):
        return [column[index] for index in indices.tolist()]
    if isinstance(column, np.ndarray):
        return column[indices]
    return None if column is None else column.select(indices)


class Sentence(NamedTuple):
    """Words, their features, and their tags.

    Args:
        tags: None: not labelled.
        source: the file and the line of the first word.
        text: the text that the words were cut out of, if they were.
        offsets: of each word in the text: characters start ≤ c < end, counted from 0.
        lines: of each word in the file, where each word has a line of its own.
        features: for each feature, its value at each word.
    """

    words: list[str]
    tags: list[str] | None
    source: str
    text: str | None = None
    offsets: abc.Sequence[tuple[int, int]] = ()
    lines: abc.Sequence[int] = ()
    features: abc.Sequence[list[str]] = ()

    def source_of(self, token: int) -> str:
        """Where a word is, counted from 0 here and from 1 in the answer."""
        if self.lines:
            return f"{self.source.rpartition(', line ')[0]}, line {self.lines[token]}"
        return f"{self.source}, token {token + 1}"


def tags_of(sentence: Sentence) -> list[str]:
    """A labelled sentence's tags."""
    assert sentence.tags is not None
    return sentence.tags
