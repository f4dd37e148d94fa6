"""Files of remote file systems, such as `s3://bucket/logs/*.parquet`, by pyarrow, which finds the credentials."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ostinato.errors import DataError

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://")
PATTERN = re.compile(r"[*\[]")  # a question mark begins the query
RETRY_S = 10
BLOCK_BYTES = 4 * 2**20


@dataclass(frozen=True)
class RemoteFile:
    """A file of a remote file system.

    Args:
        address: such as `s3://bucket/logs/a.parquet`.
        system: reads it.
        path: its path there.
        size: in bytes.
        modified: when it was written, in nanoseconds since 1970.
    """

    address: str
    system: "FileSystem"
    path: str
    size: int
    modified: int

    @contextmanager
    def copied(self) -> Iterator[Path]:
        """A local copy of the same name, for as long as the context lasts.

        Raises:
            DataError: the file cannot be read.
        """
        with tempfile.TemporaryDirectory(prefix="ostinato-") as folder:
            copy = Path(folder) / PurePosixPath(self.path).name
            with copy.open("wb") as file:
                for block in self._blocks():
                    file.write(block)
            yield copy

    def _blocks(self) -> Iterator[bytes]:
        with _errors(self.address):
            source = self.system.open_input_stream(self.path, compression=None)
        with source:
            while True:
                with _errors(self.address):
                    block = source.read(BLOCK_BYTES)
                if not block:
                    return
                yield block


def is_remote(path: str) -> bool:
    """Whether a path is an address, such as `s3://bucket/a.csv`."""
    return ADDRESS.match(path) is not None


def remote_files(address: str) -> list[RemoteFile]:
    """The file at an address, those in a folder, or those that match a pattern in the last part, by their names.

    Args:
        address: a query configures the file system, as `s3://bucket/a.csv?region=eu-west-1`.

    Raises:
        DataError: the file system is unknown or cannot be reached, or no file matches.
    """
    from pyarrow.fs import FileSelector, FileSystem, FileType

    plain, mark, query = address.partition("?")
    parent, _, last = plain.rpartition("/")
    folder, pattern = (parent, last) if PATTERN.search(last) else (plain.rstrip("/"), "*")
    with _errors(address):
        system, path = FileSystem.from_uri(_impatient(folder + mark + query))
        found: list[FileInfo] = [system.get_file_info(path)]
        if found[0].type != FileType.File:
            found = system.get_file_info(FileSelector(path, allow_not_found=True))
    files = [
        RemoteFile(folder + info.path.removeprefix(path), system, info.path, info.size, info.mtime_ns)
        for info in sorted(found, key=lambda info: str(info.path))
        if info.type == FileType.File and not info.base_name.startswith(".") and fnmatchcase(info.base_name, pattern)
    ]
    if not files:
        raise DataError(f"{address}: no file is there. Check the address.")
    return files


def _impatient(address: str) -> str:
    """The address, with a limit for Google's file system, which would try for 15 minutes."""
    is_google = address.startswith(("gs://", "gcs://")) and "retry_limit_seconds" not in address
    return f"{address}{'&' if '?' in address else '?'}retry_limit_seconds={RETRY_S}" if is_google else address


@contextmanager
def _errors(address: str) -> Iterator[None]:
    """Turn every error that pyarrow raises for an address into a `DataError`."""
    from pyarrow import ArrowException

    try:
        yield
    except (OSError, ArrowException) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(
            f"{address}: cannot be read ({reason}). Check the address, the credentials and the network."
        ) from None
