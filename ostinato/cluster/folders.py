"""Run folders on their way between machines that share no file system."""

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ostinato.storage import LOCK, TEMPORARY, make_folder, write_atomically

ARRIVING = ".arriving"  # in the folder of a comparison: runs that are being written


@contextmanager
def probe_in(folder: Path) -> Iterator[Path]:
    """A file that exists inside the block. A node that sees it shares the folder: nobody else has a file of this name.

    Raises:
        RunError: it cannot be written.
    """
    path = folder.absolute() / f".ostinato-{secrets.token_hex(8)}.tmp"
    write_atomically(path, "")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def pack(folder: Path) -> dict[str, bytes]:
    """The content of a folder, by path within it; empty if there is no folder. Locks and temporary files stay."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.name != LOCK and not TEMPORARY.fullmatch(path.name)
    }


def unpack(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the files of a folder.

    Raises:
        RunError: one of them cannot be written.
    """
    for name, content in files.items():
        path = folder / name
        make_folder(path.parent)
        write_atomically(path, content)


def replace_folder(files: Mapping[str, bytes], folder: Path, arriving: Path) -> None:
    """Put a folder in its place in one step, instead of what is there: a kill leaves the old one, the new one, or none.

    Args:
        arriving: where it is written first, on the same file system; removed at the end.

    Raises:
        RunError: the disk is full, or it cannot be written.
    """
    remove(arriving)
    unpack(files, arriving / "new")
    make_folder(folder.parent)
    if folder.exists():
        folder.rename(arriving / "old")
    (arriving / "new").rename(folder)
    remove(arriving)


def remove(folder: Path) -> None:
    """Remove a folder, unless there is none."""
    if folder.exists():
        shutil.rmtree(folder)
