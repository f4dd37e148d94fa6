"""Encoded sequences on disk, and encoders that were fitted to sequences on disk: made once, then read."""

import hashlib
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ostinato.data.encoding import Encoded
from ostinato.data.ondisk.arrays import ArrayWriter, MappedFile
from ostinato.data.ondisk.folder import kept, name_of
from ostinato.data.ondisk.sequences import StoredSequences
from ostinato.data.ragged import Ragged

VALUES, LENGTHS = "values.bin", "lengths.npy"
ROWS_AT_A_TIME = 4096


class StoredRagged(Ragged):
    """Encoded sequences in a file; a batch copies those that it needs.

    Its `values` are the whole file: what reads them all brings them into memory, as far as there is room.
    """

    def __init__(self, file: MappedFile, lengths: torch.Tensor, truncated: int) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nothing writes to it
            values = torch.from_numpy(file.array)
        super().__init__(values, lengths, truncated)
        object.__setattr__(self, "_file", file)

    def __reduce__(self) -> tuple[type["StoredRagged"], tuple[Any, ...]]:
        return StoredRagged, (self._file, self.lengths, self.truncated)  # type: ignore[attr-defined]

    def select(self, indices: torch.Tensor | np.ndarray) -> Ragged:
        found = super().select(indices)
        size = found.values.numel() * found.values.element_size()
        self._file.count(size, places=len(found))  # type: ignore[attr-defined]
        return found

    def digest(self) -> str:
        """The same as `Ragged.digest`, without all values in memory."""
        lengths = self.lengths.numpy()
        sha = hashlib.sha256(f"{self.values.numpy().dtype.str} {tuple(self.values.shape)} {lengths.shape}".encode())
        sha.update(lengths.data)
        for begin in range(0, len(lengths), ROWS_AT_A_TIME):
            rows = np.arange(begin, min(begin + ROWS_AT_A_TIME, len(lengths)))
            sha.update(self.select(rows).values.numpy().data)
        return sha.hexdigest()


def keep_encoded(
    sequences: StoredSequences, encoder: dict[str, Any], encode: Callable[[], Iterable[Encoded]]
) -> Ragged:
    """The tokens of sequences on disk; they are encoded only if they are not there.

    Args:
        encoder: what the tokens depend on, as JSON values.
        encode: gives the tokens in parts, int32, or series, float32.

    Raises:
        RunError: the folder cannot be written.
        DataError: a sequence cannot be encoded.
    """
    place = sequences.place / f"tokens-{name_of([encoder, sequences.name])}"

    def write(folder: Path) -> dict[str, Any]:
        lengths, truncated, columns = [np.empty(0, np.int64)], 0, None
        with ArrayWriter(folder / VALUES) as file:
            for part in encode():
                file.add(part.values)
                lengths.append(part.lengths)
                truncated += part.truncated
                columns = part.values.shape[1] if part.values.ndim > 1 else None
        np.save(folder / LENGTHS, np.concatenate(lengths))
        return {"truncated": truncated, "columns": columns}

    facts = kept(place, write)
    dtype, columns = (np.int32, None) if facts["columns"] is None else (np.float32, facts["columns"])
    lengths = torch.from_numpy(np.load(place / LENGTHS))
    return StoredRagged(MappedFile(place / VALUES, dtype, columns), lengths, facts["truncated"])


def keep_fitted(
    sequences: StoredSequences, settings: dict[str, Any], fit: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What was fitted to sequences on disk, as JSON values; it is fitted only if it is not there."""
    return kept(sequences.place / f"fitted-{name_of([settings, sequences.name])}", lambda folder: fit())
