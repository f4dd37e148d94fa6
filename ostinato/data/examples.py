"""Rows of a data set: a sequence with its target, and where it comes from; sentences, for taggers."""

from collections import abc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

Sequence = str | list[str] | np.ndarray  # a text, a list of events, a float64 series of shape (T, channels)


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a data file; `source` says which, as in `train.csv, row 17`. An unlabelled row has the target None.

    Rows of one `key` have sequences that the tokenizer reads alike; it is empty until `cleaning.with_keys`.
    """

    sequence: Sequence
    target: Any
    split: str | None
    group: str | None
    source: str
    key: bytes = field(default=b"", compare=False)


@dataclass(frozen=True)
class Records:
    """Sequences with their targets and sources, and the weight of each row if they differ: lists of one length."""

    sequences: list[Any]
    targets: list[Any]
    sources: list[str]
    weights: list[float] | None = None

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Records":
        """The records as columns."""
        rows = list(records)
        return cls([row.sequence for row in rows], [row.target for row in rows], [row.source for row in rows])

    def __len__(self) -> int:
        return len(self.sequences)

    def __iter__(self) -> Iterator[Record]:
        for sequence, target, source in zip(self.sequences, self.targets, self.sources, strict=True):
            yield Record(sequence, target, None, None, source)

    def select(self, indices: Iterable[int] | np.ndarray) -> "Records":
        """The rows at `indices`, in that order."""
        chosen = [int(index) for index in indices]
        parts = (self.sequences, self.targets, self.sources, self.weights)
        selected = (None if part is None else [part[i] for i in chosen] for part in parts)
        return Records(*selected)  # type: ignore[arg-type]


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
