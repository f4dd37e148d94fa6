"""Label sets as rows of 0 and 1, and back."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ostinato.errors import DataError, RunError, suggest

SHOWN_LABELS = 20


@dataclass(frozen=True)
class LabelSetCodec:
    """The labels that a row can have, in the order of the network's outputs.

    Args:
        is_indicator: the user gave targets as a matrix of 0 and 1, so that predictions are one too.
    """

    labels: tuple[Any, ...]
    is_indicator: bool = False

    @classmethod
    def fit(cls, label_sets: Iterable[Iterable[Any]]) -> "LabelSetCodec":
        """The distinct labels in order; labels that cannot be compared are ordered by type and text."""
        distinct = {label for labels in label_sets for label in labels}
        try:
            return cls(tuple(sorted(distinct)))
        except TypeError:
            return cls(tuple(sorted(distinct, key=lambda label: (type(label).__name__, str(label)))))

    @property
    def names(self) -> tuple[Any, ...]:
        """What each output of the network is called."""
        return self.labels

    def encode(self, label_sets: Iterable[Iterable[Hashable]], sources: Sequence[str]) -> torch.Tensor:
        """One row of 0 and 1 for each label set: (B, L) float32.

        Raises:
            DataError: a label does not occur in the training data; names the row.
        """
        rows = torch.zeros(len(sources), len(self.labels))
        for row, (labels, source) in enumerate(zip(label_sets, sources, strict=True)):
            for label in labels:
                if label not in self._indices:
                    raise DataError(f"{source}: {self._unknown(label)}")
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
        for label in self.labels:
            if not isinstance(label, str | int | float):
                kind = type(label).__name__
                raise DataError(f"label {label!r} of type {kind} cannot be saved. Use strings, numbers or booleans.")
        return {"labels": list(self.labels), "is_indicator": self.is_indicator}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "LabelSetCodec":
        """The codec that `to_json` described.

        Raises:
            RunError: a field is missing or has the wrong type.
        """
        labels, is_indicator = fields.get("labels"), fields.get("is_indicator")
        if not isinstance(labels, list) or not all(isinstance(label, str | int | float) for label in labels):
            raise RunError(f"codec: labels {labels!r} are not a list of strings, numbers or booleans.")
        if not isinstance(is_indicator, bool):
            raise RunError(f"codec: is_indicator {is_indicator!r} is neither true nor false.")
        return cls(tuple(labels), is_indicator)

    @cached_property
    def _indices(self) -> dict[Hashable, int]:
        return {label: index for index, label in enumerate(self.labels)}

    def _unknown(self, label: Any) -> str:
        known, hint = list(map(repr, self.labels)), suggest(str(label), map(str, self.labels))
        more = f" and {len(known) - SHOWN_LABELS} more" if len(known) > SHOWN_LABELS else ""
        return (
            f"label {label!r} does not occur in the training data. {hint}Known labels: "
            f"{', '.join(known[:SHOWN_LABELS])}{more}. Correct it, or leave the row out."
        )
