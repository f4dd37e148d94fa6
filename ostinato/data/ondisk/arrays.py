"""Arrays in files: written piece by piece, and read through the system's cache of files.

The pages of a mapped file count as memory of the process as long as it has them. They are given back after every 64 MiB
of reading: the system keeps them in its cache while there is room, and they can be read again.
"""

import mmap
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ostinato.errors import RunError

READ_BYTES = 64 * 2**20  # of a file, after which its pages are given back
AROUND_BYTES = 64 * 2**10  # that Linux maps around a page that is read


class ArrayWriter:
    """Writes arrays of one type to a file, end to end."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")

    def add(self, array: np.ndarray) -> None:
        """Append an array."""
        self._file.write(np.ascontiguousarray(array).data)

    def __enter__(self) -> "ArrayWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


class MappedFile:
    """A file as an array that cannot be written to. Another process gets its path, not its content.

    Args:
        path: written by an `ArrayWriter`.
        dtype: of the numbers.
        columns: numbers in a row of the array; None: the array has one dimension.

    Raises:
        RunError: the file is not there, as on another machine.
    """

    def __init__(self, path: Path, dtype: np.dtype | type, columns: int | None = None) -> None:
        if not path.exists():
            raise RunError(
                f"{path}: is not there. If another machine has read the data to disk, let both use a folder that "
                "they share: --cache DIR, or the environment variable OSTINATO_CACHE."
            )
        self._opened = path, dtype, columns
        shape = (-1,) if columns is None else (-1, columns)
        self._read = 0
        self._pages: mmap.mmap | None = None
        if path.stat().st_size == 0:  # an empty file cannot be mapped
            self.array = np.empty((0, *shape[1:]), dtype)
            return
        with path.open("rb") as file:
            self._pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.array = np.frombuffer(self._pages, dtype).reshape(shape)

    def __reduce__(self) -> tuple[type["MappedFile"], tuple[Any, ...]]:
        return MappedFile, self._opened

    def count(self, size: int, places: int = 1) -> None:
        """Note that so many bytes were read in so many places; give the pages back if they have become many."""
        self._read += size + places * AROUND_BYTES
        if self._read >= READ_BYTES:
            self._read = 0
            if self._pages is not None and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows, which trims them itself
                self._pages.madvise(mmap.MADV_DONTNEED)
