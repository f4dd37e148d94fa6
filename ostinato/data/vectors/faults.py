"""What may go wrong in a file of word vectors, and what becomes of it."""

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

CHUNK = 2**18  # bytes that are read at a time


@dataclass
class Faults:
    """What becomes of a line that cannot be used: it is refused, or left out and counted."""

    on_fault: Literal["refuse", "skip"]
    skipped: int = 0

    def meet(self, what: str) -> None:
        if self.on_fault != "skip":
            raise DataError(
                f"{what}. Correct it, or leave such lines out: on_fault='skip' (in a config: data.vectors_on_fault)."
            )
        self.skipped += 1

    def passes(self, vector: np.ndarray, place: str) -> bool:
        """Whether the vector is finite; if not, that is a fault."""
        finite = np.isfinite(vector)
        if finite.all():
            return True
        self.meet(f"{place}: the vector holds {vector[~finite][0]}, expected finite numbers in float32")
        return False


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked and without a byte-order mark; see `reading` for what goes wrong."""
    with (
        reading(path),
        _raw(path) as raw,
        io.BufferedReader(raw, CHUNK) as file,
    ):  # gzip's own iteration over lines is slow
        if file.peek(3).startswith(codecs.BOM_UTF8):
            file.read(3)
        yield file


def _raw(path: Path) -> io.RawIOBase:
    return cast(io.RawIOBase, gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb", buffering=0)


def as_float32(numbers: np.ndarray | Iterable[float]) -> np.ndarray:
    with np.errstate(over="ignore"):  # too large becomes inf, which is told with its place
        return np.array(numbers, dtype=np.float32)


def shown(text: bytes) -> str:
    return repr(text.decode("utf-8", "replace"))
