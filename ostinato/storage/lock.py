"""The lock of a folder: one process at a time writes to it. Reading needs no lock.

The lock is the operating system's, on a file in the folder. The system releases it when its process ends, however it
ends, so a lock file that a killed process left behind locks nothing. The file names the process for the message.

POSIX: `flock`; on NFS, Linux turns it into a lock on the server, which other hosts respect. Windows: `msvcrt.locking`.
"""

import errno
import json
import os
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ostinato.errors import RunError
from ostinato.storage import LOCK, now, open_own, remove_abandoned

HELD = (errno.EAGAIN, errno.EACCES)
UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
POLL_S = 0.05

if sys.platform == "win32":
    import msvcrt

    FAR = 1 << 30  # Windows refuses to read locked bytes, and the others read the first ones

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(folder: Path, *, wait_s: float = 0) -> Iterator[None]:
    """Hold the lock of an existing folder. First removes the temporary files that killed processes left in it.

    Args:
        wait_s: how long to wait for another process.

    Raises:
        RunError: another process holds the lock, or the folder cannot be written to.
    """
    path = folder / LOCK
    descriptor = _acquire(path, time.monotonic() + wait_s)
    try:
        remove_abandoned(folder)
        yield
    finally:
        with suppress(OSError):  # the folder has been removed; on Windows, an open file cannot be removed
            path.unlink()  # before it is unlocked: afterwards it may be another process's
        os.close(descriptor)


def _acquire(path: Path, deadline: float) -> int:
    """The descriptor of the locked lock file."""
    while True:
        descriptor = open_own(path, os.O_RDWR)
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno in UNSUPPORTED:
                warnings.warn(f"{path}: this file system has no locks. Do not start two commands on it.", stacklevel=4)
                return descriptor
            holder = _holder(descriptor)
            os.close(descriptor)
            if error.errno not in HELD:
                raise RunError(f"{path}: cannot be locked: {error.strerror}. Choose another folder.") from None
            if time.monotonic() > deadline:
                raise RunError(f"{path.parent}: in use by {holder}. Wait until it ends, or stop it.") from None
            time.sleep(POLL_S)
            continue
        if _is_at(descriptor, path):
            _write_holder(descriptor)
            return descriptor
        os.close(descriptor)  # its holder has just removed it


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _write_holder(descriptor: int) -> None:
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now()}
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    with suppress(OSError):  # a full disk: the lock holds without the name
        os.write(descriptor, json.dumps(holder).encode())


def _holder(descriptor: int) -> str:
    """The process that holds the lock, in words."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        holder = json.loads(os.read(descriptor, 1000))
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):  # it has locked the file and not written its name yet
        return "another process"
