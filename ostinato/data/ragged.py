"""Sequences of different lengths end to end, without padding."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ostinato.data.spans import spans


@dataclass(frozen=True, eq=False)
class Ragged:
    """B sequences end to end, without padding and without a padding id.

    Args:
        values: (N,) int32 token ids, or (N, channels) float32.
        lengths: (B,) int64 on the CPU, where batches are planned; zero is allowed; they add up to N.
        truncated: the number of sequences that were cut when they were encoded; 0 in a selection.
    """

    values: torch.Tensor
    lengths: torch.Tensor
    truncated: int = 0

    def __post_init__(self) -> None:
        assert int(self.lengths.sum()) == len(self.values), "the lengths must add up to the number of values"

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def offsets(self) -> torch.Tensor:
        """(B + 1,) int64: sequence b is `values[offsets[b]:offsets[b + 1]]`."""
        return torch.nn.functional.pad(self.lengths.cumsum(0), (1, 0))

    def select(self, indices: torch.Tensor | np.ndarray) -> "Ragged":
        """Copy the sequences at `indices` (b,), in that order; an index may be negative or occur twice."""
        chosen = torch.as_tensor(indices, dtype=torch.int64, device="cpu")
        lengths = self.lengths[chosen]
        positions = spans(self.offsets[:-1][chosen].numpy(), lengths.numpy())
        if self.values.is_cpu:  # NumPy: torch's indexing starts its thread pool, 8 ms per batch on shared cores
            return Ragged(torch.from_numpy(self.values.numpy().take(positions, axis=0)), lengths)
        return Ragged(self.values.index_select(0, torch.from_numpy(positions).to(self.values.device)), lengths)

    def to(self, device: torch.device | str) -> "Ragged":
        """Move the values; the lengths stay on the CPU."""
        return Ragged(self.values.to(device), self.lengths, self.truncated)

    def digest(self) -> str:
        """SHA-256 of dtype, shape, lengths and values, in hexadecimal."""
        values, lengths = self.values.cpu().contiguous().numpy(), self.lengths.contiguous().numpy()
        sha = hashlib.sha256(f"{values.dtype.str} {values.shape} {lengths.shape}".encode())
        sha.update(lengths.data)
        sha.update(values.data)
        return sha.hexdigest()
