"""Targets as standardised numbers, and back."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ostinato.errors import DataError, RunError

Numbers = Mapping[str, float]  # the targets of a row, by name


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
    def fit(cls, targets: Sequence[Numbers]) -> "NumberCodec":
        """Measure each target of the training rows."""
        names = tuple(targets[0])
        values = np.array([[row[name] for name in names] for row in targets], dtype=np.float64)  # (B, K)
        scale = values.std(axis=0)
        scale[values.min(axis=0) == values.max(axis=0)] = 1
        return cls(names, tuple(values.mean(axis=0).tolist()), tuple(scale.tolist()))

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

    def encode(self, targets: Iterable[Numbers], sources: Sequence[str]) -> torch.Tensor:
        """The targets less their mean, in standard deviations. Returns (B, K) float32."""
        scaled = (self.numbers(targets, sources) - np.array(self.mean)) / np.array(self.scale)
        return torch.from_numpy(scaled.astype(np.float32))

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return {"names": list(self.names), "mean": list(self.mean), "scale": list(self.scale)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "NumberCodec":
        """Rebuild the codec from its `to_json`.

        Raises:
            RunError: a field is missing or is not what `to_json` writes.
        """
        names, mean, scale = (fields.get(key, []) for key in ("names", "mean", "scale"))
        is_named = isinstance(names, list) and bool(names) and all(isinstance(name, str) for name in names)
        if not (is_named and _are_numbers(mean, len(names)) and _are_numbers(scale, len(names)) and min(scale) > 0):
            raise RunError(f"codec: names {names!r}, mean {mean!r}, scale {scale!r} are not targets and their scale.")
        return cls(tuple(names), tuple(mean), tuple(scale))


def _are_numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    )
