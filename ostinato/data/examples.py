"""What the readers give and the splits hold: records and labelled examples."""

from collections.abc import Iterable
from dataclasses import dataclass

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
        return [Record(*row[:2], None, None, row[2]) for row in zip(self.sequences, self.labels, self.places, strict=True)]

    def select(self, indices: Iterable[int] | np.ndarray) -> "Examples":
        """The examples at `indices`, in that order."""
        chosen = [int(index) for index in indices]
        return Examples([self.sequences[i] for i in chosen], [self.labels[i] for i in chosen], [self.places[i] for i in chosen])
