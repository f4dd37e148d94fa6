"""Malformed lines in a file of word vectors: refuse the file, or skip and count them."""

import codecs
import gzip
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

import numpy as np

from ostinato.data.files import reading
from ostinato.errors import DataError

Word = tuple[bytes, np.ndarray]  # a word in UTF-8 and its vector (D,) float32

CHUNK = 2**18  # bytes read at a time


@dataclass
class Problems:
    """The problems of a file.

    Args:
        on_error: `refuse` raises at the first problem, `skip` counts them.
        skipped: the number of skipped lines.
    """

    on_error: Literal["refuse", "skip"]
    skipped: int = 0

    def report(self, problem: str) -> None:
        """Raise, or count a skipped line.

        Raises:
            DataError: `on_error` is `refuse`.
        """
        if self.on_error != "skip":
            raise DataError(f'{problem}. Correct it, or set data.vectors_on_error = "skip" to skip malformed lines.')
        self.skipped += 1

    def is_finite(self, vector: np.ndarray, source: str) -> bool:
        """Whether the vector is finite; reports a problem if not."""
        finite = np.isfinite(vector)
        if finite.all():
            return True
        self.report(f"{source}: the vector holds {vector[~finite][0]}, expected finite numbers in float32")
        return False


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed and without a byte-order mark; see `reading` for errors."""
    with reading(path), _raw(path) as raw, io.BufferedReader(raw, CHUNK) as file:  # gzip's own line iteration is slow
        if file.peek(3).startswith(codecs.BOM_UTF8):
            file.read(3)
        yield file


def _raw(path: Path) -> io.RawIOBase:
    return cast(io.RawIOBase, gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb", buffering=0)


def as_float32(numbers: np.ndarray | Iterable[float]) -> np.ndarray:
    with np.errstate(over="ignore"):  # too large becomes inf, which `is_finite` reports
        return np.array(numbers, dtype=np.float32)


def quoted(text: bytes) -> str:
    return repr(text.decode("utf-8", "replace"))
