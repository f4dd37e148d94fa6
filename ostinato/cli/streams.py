"""Standard input, output and error of the command line, in any state that a shell or another program leaves them in."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from ostinato.errors import DataError, OstinatoError
from ostinato.printable import visible_lines

CHUNK = 65_536  # bytes
INTERRUPTED = 130  # exit status after Ctrl-C


def prepare() -> None:
    """Print UTF-8 in any locale, and put the null device in place of closed streams.

    Otherwise the next file that is opened would take the number of the closed stream, and be written to.

    Raises:
        OstinatoError: standard output is closed.
    """
    is_closed = sys.stdout is None
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    sys.stdout = sys.stdout or _null()
    sys.stderr = sys.stderr or _null()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if is_closed:
        raise OstinatoError("standard output is closed. Redirect it to a file, or to /dev/null to discard it.")


def abandon(*streams: int) -> None:
    """Send the rest of standard output (1) or error (2) to the null device; else Python writes it again at exit."""
    for stream in streams:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print text with its control characters escaped."""
    stream = sys.stderr if err else sys.stdout
    stream.write(visible_lines(text) + ("\n" if nl else ""))
    stream.flush()


def show_usage_error(error: Any) -> int:
    """Print an error of the command line's parser; returns the exit status."""
    shown = io.StringIO()
    error.show(shown)
    say(shown.getvalue(), err=True, nl=False)
    return int(error.exit_code)


def input_lines() -> Iterator[list[bytes]]:
    """The lines of standard input, in groups: all complete lines that are there, so that none has to wait for more.

    Raises:
        DataError: standard input is closed or cannot be read.
    """
    if sys.stdin is None:
        raise DataError("standard input is closed. Pipe the sequences into it, or name a file.")
    stream: Any = sys.stdin.buffer
    read: Callable[[int], bytes] = stream.read1  # what is there, without waiting for a full buffer
    pending: list[bytes] = []
    while chunk := _read(read):
        *lines, last = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join([*pending, lines[0]])
            yield lines
            pending = []
        pending.append(last)
    if rest := b"".join(pending):
        yield [rest]


def _read(read: Callable[[int], bytes]) -> bytes:
    try:
        return read(CHUNK)
    except OSError as error:
        raise DataError(
            f"standard input: cannot be read ({error.strerror}). Pipe the sequences into it, or name a file."
        ) from None


def _null() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")
