"""What the readers give and the splits hold: records and labelled examples; sentences, for taggers."""

from collections import abc
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Sequence = str | list[str] | np.ndarray  # a text, a list of events, a float64 series of shape (T, channels)


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a data file; `place` says which, as in `train.csv, row 17`."""

    sequence: Sequence
    label: str | None
    split: str | None
    group: str | None
    place: str


@dataclass(frozen=True)
class Examples:
    """Labelled sequences and the place that each came from, three lists of one length."""

    sequences: list[Sequence]
    labels: list[str]
    places: list[str]

    def __len__(self) -> int:
        return len(self.sequences)

    def records(self) -> list[Record]:
        """The examples one by one."""
        return [
            Record(*row[:2], None, None, row[2]) for row in zip(self.sequences, self.labels, self.places, strict=True)
        ]

    def select(self, indices: Iterable[int] | np.ndarray) -> "Examples":
        """The examples at `indices`, in that order."""
        chosen = [int(index) for index in indices]
        return Examples(
            [self.sequences[i] for i in chosen], [self.labels[i] for i in chosen], [self.places[i] for i in chosen]
        )


class Sentence(NamedTuple):
    """Words, what stands beside them, and their tags.

    Args:
        tags: None: not labelled.
        place: the file and the line of the first word.
        text: that the words were cut out of, if they were.
        offsets: of each word in the text: characters start ≤ c < end, counted from 0.
        lines: of each word in the file, where a word has a line of its own.
        features: of each feature, its value for each word.
    """

    words: list[str]
    tags: list[str] | None
    place: str
    text: str | None = None
    offsets: abc.Sequence[tuple[int, int]] = ()
    lines: abc.Sequence[int] = ()
    features: abc.Sequence[list[str]] = ()

    def place_of(self, token: int) -> str:
        """Where a word is, counted from 0 here and from 1 in the answer."""
        return (
            f"{self.place.rpartition(', line ')[0]}, line {self.lines[token]}"
            if self.lines
            else f"{self.place}, token {token + 1}"
        )


def tags_of(sentence: Sentence) -> list[str]:
    """A labelled sentence's tags."""
    assert sentence.tags is not None
    return sentence.tags
