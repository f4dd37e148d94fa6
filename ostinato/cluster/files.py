"""Which files are predicted, and where their answers are written."""

import glob
import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from ostinato.data.remote import RemoteFile, is_remote, remote_files
from ostinato.errors import ConfigError, RunError
from ostinato.storage import file_digest

ERRORS = "errors"  # the folder of the rows that could not be read
STAMP = b"ostinato"  # in the metadata of a file of answers
ENDING = ".parquet"


class InputFile(NamedTuple):
    """A file to predict.

    Args:
        path: of a local file, or the address of a remote one; its ending selects the format.
        name: of its files of answers and of errors, in their folders.
        remote: reads a remote file; None: it is local.
    """

    path: Path
    name: str
    remote: RemoteFile | None = None

    def __str__(self) -> str:
        return str(self.path) if self.remote is None else self.remote.address

    def content(self) -> bytes:
        """The bytes of the file.

        Raises:
            DataError: a remote file cannot be read.
        """
        if self.remote is None:
            return self.path.read_bytes()
        with self.remote.copied() as copy:
            return copy.read_bytes()

    def digest(self) -> str:
        """What changes with the content: its SHA-256; of a remote file, its size, and when it was written."""
        return file_digest(self.path) if self.remote is None else f"{self.remote.size} {self.remote.modified}"


class Stamp(NamedTuple):
    """What answers depend on, as digests; it is saved with them."""

    model: str
    input: str
    settings: str


def find_inputs(pattern: str) -> list[InputFile]:
    """The files that a path or a pattern names, in order: `*` and `?` within a name, `**` for folders at any depth.

    An address such as `s3://bucket/new/*.csv` names remote files; its pattern is in the last part.

    Raises:
        ConfigError: it names no file, or two files would have the same name in the folder of answers.
        DataError: the remote file system cannot be reached, or no remote file matches.
    """
    if is_remote(pattern):
        files = remote_files(pattern)
        return [InputFile(Path(each.address), _name(each.address.rpartition("/")[2]), each) for each in files]
    paths = [Path(each) for each in sorted(glob.glob(pattern, recursive=True)) if Path(each).is_file()]
    if not paths and Path(pattern).is_file():  # its name has brackets
        paths = [Path(pattern)]
    if not paths:
        hint = f" It is a folder: name its files, as {pattern.rstrip('/')}/*.csv." if Path(pattern).is_dir() else ""
        raise ConfigError(
            f"{pattern}: no such file.{hint} Put patterns in quotes, so that the shell leaves them alone."
        )
    top = _fixed_part(pattern)
    found = [InputFile(path, _name(path.relative_to(top).as_posix())) for path in paths]
    for name, count in Counter(each.name for each in found).items():
        if count > 1:
            raise ConfigError(
                f"{pattern}: {count} files would be answered in {name}. Rename one, or predict them apart."
            )
    return found


def _fixed_part(pattern: str) -> Path:
    """The folder before the first part with a wildcard."""
    folder = Path(pattern).parent
    while glob.has_magic(str(folder)):
        folder = folder.parent
    return folder


def _name(path: str) -> str:
    return path if path.endswith(ENDING) else f"{path}{ENDING}"


def is_answered(path: Path, stamp: Stamp) -> bool:
    """Whether a file holds these answers already.

    Raises:
        RunError: it holds something else.
    """
    if not path.exists():
        return False
    from pyarrow import ArrowException, parquet

    try:
        metadata = parquet.read_schema(path).metadata or {}
        found = json.loads(metadata.get(STAMP, b"{}"))
    except (OSError, ArrowException, ValueError):
        found = {}
    if found == stamp._asdict():
        return True
    changed = [name for name, value in stamp._asdict().items() if found.get(name) != value]
    what = f"answers of another {' and '.join(changed)}" if found else "something else than answers"
    raise RunError(f"{path}: holds {what}. Choose another --out, or delete the file.")
