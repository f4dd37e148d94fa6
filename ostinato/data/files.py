"""Opening data files: what may go wrong there, told with the file's name and the line."""

import gzip
import importlib.util
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from ostinato.errors import DataError


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while `path` is read into a `DataError`.

    Raises:
        DataError: the file is missing, unreadable, not gzip though it ends in `.gz`, or not UTF-8.
    """
    try:
        yield
    except FileNotFoundError:
        raise DataError(
            f"{path}: there is no such file. Check the path; a relative one is taken from {Path.cwd()}."
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise DataError(f"{path}: not a whole gzip file. Compress it again, or take .gz off its name.") from None
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({str(error.strerror or error).splitlines()[0]}). Name a readable file."
        ) from None
    except UnicodeDecodeError as error:
        line, byte = _first_undecodable(path) or (1, error.object[error.start])
        raise DataError(
            f"{path}, line {line}: not UTF-8 (byte 0x{byte:02x}). Convert the file, for example: iconv -f latin1 -t utf-8"
        ) from None


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a UTF-8 text file, with or without byte-order mark or gzip, its line ends untouched.

    Raises:
        DataError: see `reading`; also for what goes wrong later, while the lines are read.
    """
    with reading(path), _open_bytes(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        yield text


def check_unicode(text: str, place: str) -> None:
    """Refuse what no file can hold.

    Raises:
        DataError: half of a surrogate pair, which JSON can spell, as where an emoji was cut; names the place.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        fault = f"character {error.start} is {text[error.start]!r}, half of a surrogate pair"
        raise DataError(
            f"{place}: {fault}. Expected valid Unicode. Read the text anew with the right encoding."
        ) from None


def ending_of(path: Path) -> str:
    """What names the format, in lower case: the ending, but for `.gz`."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def installed_file(package: str, *parts: str) -> Path | None:
    """A file inside an installed package, found without running the package's code."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]).joinpath(*parts)
    return path if path.exists() else None


def _open_bytes(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def _first_undecodable(path: Path) -> tuple[int, int] | None:
    """The line, counted from 1, and the byte where UTF-8 ends."""
    with _open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return number, line[error.start]
    return None
