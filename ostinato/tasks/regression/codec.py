"""Targets as standardised numbers, and back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from ostinato.data.stored import Distinct, StoredFields
from ostinato.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

Numbers = Mapping[str, float]  # the targets of a row, by name
HIGHEST = 1e200  # of means and scales: times any float32, it stays below the largest double


class StoredCodec(StoredFields):
    """The fields that `NumberCodec.to_json` writes."""

    names: Annotated[Distinct, Field(min_length=1)]
    mean: list[Annotated[float, Field(ge=-HIGHEST, le=HIGHEST)]]
    scale: list[Annotated[float, Field(gt=0, le=HIGHEST)]]

    @model_validator(mode="after")
    def _one_scale_for_each(self) -> "StoredCodec":
        if not len(self.names) == len(self.mean) == len(self.scale):
            raise ValueError(f"{len(self.names)} names, {len(self.mean)} means and {len(self.scale)} scales")
        return self


@dataclass(frozen=True)
class NumberCodec:
    """The names of the targets, and their scale in the training split.

    Args:
        names: K of them.
        mean, scale: (K,) mean and standard deviation of each; a target that never varies has scale 1.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def fit(cls, targets: Sequence[Numbers], weights: Sequence[float] | None = None) -> "NumberCodec":
        """Measure each target of the training rows; a row of weight 2 counts as two rows."""
        names = tuple(targets[0])
        values = np.array([[row[name] for name in names] for row in targets], dtype=np.float64)  # (B, K)
        mean, scale = values.mean(axis=0), values.std(axis=0)
        if weights is not None:
            mean = np.average(values, axis=0, weights=weights)
            scale = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights))
        scale[(values.min(axis=0) == values.max(axis=0)) | (scale == 0)] = 1
        return cls(names, tuple(mean.tolist()), tuple(scale.tolist()))

    def numbers(self, targets: Iterable[Numbers], sources: Sequence[str]) -> np.ndarray:
        """The targets in their own units; a single target may have another name. Returns (B, K) float64.

        Raises:
            DataError: a row has other targets than the training rows; names the row.
        """
        values = []
        for row, source in zip(targets, sources, strict=True):
            if len(row) == len(self.names) == 1:
                values.append(list(row.values()))
                continue
            if row.keys() != set(self.names):
                raise DataError(
                    f"{source}: the targets are {', '.join(row)}, and those of training {', '.join(self.names)}. "
                    "Give the same targets."
                )
            values.append([row[name] for name in self.names])
        return np.array(values, dtype=np.float64).reshape(-1, len(self.names))

    def encode(self, targets: Iterable[Numbers], sources: Sequence[str]) -> "Tensor":
        """The targets less their mean, in standard deviations. Returns (B, K) float32."""
        import torch

        scaled = (self.numbers(targets, sources) - np.array(self.mean)) / np.array(self.scale)
        return torch.from_numpy(scaled.astype(np.float32))

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return {"names": list(self.names), "mean": list(self.mean), "scale": list(self.scale)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "NumberCodec":
        """Rebuild the codec from its `to_json`.

        Raises:
            RunError: a field is missing or is not what `to_json` writes; names it.
        """
        stored = StoredCodec.read(fields, "codec")
        return cls(tuple(stored.names), tuple(stored.mean), tuple(stored.scale))
