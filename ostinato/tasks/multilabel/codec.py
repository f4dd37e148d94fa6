"""Label sets as rows of 0 and 1, and back."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.data.stored import StoredFields
from ostinato.tasks.sequences.labels import (
    StoredLabels,
    as_json,
    check_label,
    in_order,
    refuse_clashing,
    unknown_label,
)

if TYPE_CHECKING:
    from torch import Tensor


class StoredCodec(StoredFields):
    """What `LabelSetCodec.to_json` writes."""

    labels: StoredLabels
    is_indicator: bool


@dataclass(frozen=True)
class LabelSetCodec:
    """The labels that a row can have, in the order of the network's outputs.

    Args:
        is_indicator: the user gave targets as a matrix of 0 and 1, so that predictions are one too.
    """

    labels: tuple[Any, ...]
    is_indicator: bool = False

    @classmethod
    def fit(cls, label_sets: Iterable[Iterable[Any]], sources: Sequence[str]) -> "LabelSetCodec":
        """The distinct labels in order; labels that cannot be compared are ordered by type and text.

        Raises:
            DataError: a label is None or NaN, cannot be hashed, or is not valid Unicode (names the row); two labels
                have the same text, as 1 and "1".
        """
        rows = zip(label_sets, sources, strict=True)
        checked = [check_label(label, source) for labels, source in rows for label in labels]
        refuse_clashing(checked)
        return cls(in_order(set(checked)))

    @property
    def names(self) -> tuple[Any, ...]:
        """What each output of the network is called."""
        return self.labels

    def encode(self, label_sets: Iterable[Iterable[Hashable]], sources: Sequence[str]) -> "Tensor":
        """One row of 0 and 1 for each label set: (B, L) float32.

        Raises:
            DataError: a label does not occur in the training data; names the row.
        """
        import torch

        rows = torch.zeros(len(sources), len(self.labels))
        for row, (labels, source) in enumerate(zip(label_sets, sources, strict=True)):
            for label in labels:
                if label not in self._indices:
                    raise unknown_label(label, self.labels, source)
                rows[row, self._indices[label]] = 1
        return rows

    def decode(self, predicted: np.ndarray) -> list[tuple[Any, ...]]:
        """The labels of each row of 0 and 1 (B, L), in the codec's order."""
        return [tuple(self.labels[index] for index in np.flatnonzero(row)) for row in predicted]

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values.

        Raises:
            DataError: a label is not a string, a number or a boolean.
        """
        return {"labels": as_json(self.labels), "is_indicator": self.is_indicator}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "LabelSetCodec":
        """Rebuild the codec from its `to_json`.

        Raises:
            RunError: a field is missing or has the wrong type, or a label occurs twice.
        """
        stored = StoredCodec.read(fields, "codec")
        return cls(tuple(stored.labels), stored.is_indicator)

    @cached_property
    def _indices(self) -> dict[Hashable, int]:
        return {label: index for index, label in enumerate(self.labels)}
