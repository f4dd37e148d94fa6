"""Encode labels as class indices."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from pydantic import Field

from ostinato.data.stored import StoredFields
from ostinato.errors import DataError
from ostinato.tasks.sequences.labels import as_json, in_order, plain, unknown_label


class StoredCodec(StoredFields):
    """The fields that `ClassCodec.to_json` writes."""

    labels: list[str | bool | int | float] = Field(min_length=1)


@dataclass(frozen=True)
class ClassCodec:
    """The labels of the training split, in the order of their indices."""

    labels: tuple[Any, ...]

    @classmethod
    def fit(cls, labels: Iterable[Any], sources: Sequence[str]) -> "ClassCodec":
        """Collect the distinct labels in sorted order; labels that cannot be compared are sorted by type and text.

        Raises:
            DataError: a label is not hashable, or is NaN; names the row.
        """
        seen: dict[Any, None] = {}
        for label, source in zip(labels, sources, strict=True):
            if not isinstance(label, Hashable) or label != label:  # only NaN differs from itself
                raise DataError(
                    f"{source}: {label!r} cannot be a label. Expected a string, a number or a boolean. Correct it, or "
                    "remove the row."
                )
            seen[plain(label)] = None
        return cls(in_order(seen))

    @property
    def names(self) -> tuple[Any, ...]:
        """The name of each output of the network."""
        return self.labels

    def encode(self, labels: Iterable[Any], sources: Sequence[str]) -> torch.Tensor:
        """The class index of each label, (B,) int64.

        Raises:
            DataError: a label does not occur in the training data; names the row.
        """
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
            RunError: the labels are missing, or are not strings, numbers or booleans.
        """
        return cls(tuple(StoredCodec.read(fields, "codec").labels))

    @cached_property
    def _indices(self) -> dict[Hashable, int]:
        return {label: index for index, label in enumerate(self.labels)}
