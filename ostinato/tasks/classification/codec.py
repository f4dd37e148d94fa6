"""Encode labels as class indices."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ostinato.data.stored import StoredFields
from ostinato.tasks.sequences.labels import (
    StoredLabels,
    as_json,
    check_label,
    in_order,
    plain,
    refuse_clashing,
    unknown_label,
)

if TYPE_CHECKING:
    from torch import Tensor


class StoredCodec(StoredFields):
    """The fields that `ClassCodec.to_json` writes."""

    labels: StoredLabels


@dataclass(frozen=True)
class ClassCodec:
    """The labels of the training split, in the order of their indices."""

    labels: tuple[Any, ...]

    @classmethod
    def fit(cls, labels: Iterable[Any], sources: Sequence[str]) -> "ClassCodec":
        """Collect the distinct labels in sorted order; labels that cannot be compared are sorted by type and text.

        Raises:
            DataError: a label is None or NaN, cannot be hashed, or is not valid Unicode (names the row); two labels
                have the same text, as 1 and "1".
        """
        checked = [check_label(label, source) for label, source in zip(labels, sources, strict=True)]
        refuse_clashing(checked)
        return cls(in_order(set(checked)))

    @property
    def names(self) -> tuple[Any, ...]:
        """The name of each output of the network."""
        return self.labels

    def encode(self, labels: Iterable[Any], sources: Sequence[str]) -> "Tensor":
        """The class index of each label, (B,) int64.

        Raises:
            DataError: a label does not occur in the training data; names the row.
        """
        import torch

        indices = []
        for label, source in zip(labels, sources, strict=True):
            if not isinstance(label, Hashable) or plain(label) not in self._indices:
                raise unknown_label(plain(label), self.labels, source)
            indices.append(self._indices[plain(label)])
        return torch.tensor(indices, dtype=torch.int64)

    def to_json(self) -> dict[str, Any]:
        """The labels as JSON values.

        Raises:
            DataError: a label is not a string, a number or a boolean.
        """
        return {"labels": as_json(self.labels)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "ClassCodec":
        """Rebuild a codec from its `to_json`.

        Raises:
            RunError: the labels are missing, are not strings, numbers or booleans, or occur twice.
        """
        return cls(tuple(StoredCodec.read(fields, "codec").labels))

    @cached_property
    def _indices(self) -> dict[Hashable, int]:
        return {label: index for index, label in enumerate(self.labels)}
