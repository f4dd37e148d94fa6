"""Opening data files, with errors that name the file and the line."""

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
    """Turn errors of reading `path` into a `DataError`.

    Raises:
        DataError: the file is missing, unreadable, not gzip though it ends in `.gz`, or not UTF-8.
    """
    try:
        yield
    except FileNotFoundError:
        raise DataError(
            f"{path}: there is no such file. Check the path; a relative path starts at {Path.cwd()}."
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise DataError(f"{path}: not a complete gzip file. Compress it again, or remove .gz from its name.") from None
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({str(error.strerror or error).splitlines()[0]}). Give a readable file."
        ) from None
    except UnicodeDecodeError as error:
        line, byte = _first_undecodable(path) or (1, error.object[error.start])
        raise DataError(
            f"{path}, line {line}: not UTF-8 (byte 0x{byte:02x}). "
            "Convert the file, for example: iconv -f latin1 -t utf-8"
        ) from None


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a UTF-8 text file, with or without byte-order mark or gzip; line ends stay as they are.

    Raises:
        DataError: see `reading`; also while the lines are read.
    """
    with reading(path), _open_bytes(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        yield text


def check_unicode(text: str, source: str) -> None:
    """Refuse text that UTF-8 cannot encode.

    Raises:
        DataError: the text holds half of a surrogate pair, which JSON can express: for example a cut emoji.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{source}: character {error.start} is {text[error.start]!r}, half of a surrogate pair. "
            "Expected valid Unicode. Decode the original text again with the right encoding."
        ) from None


def ending_of(path: Path) -> str:
    """The file ending in lower case, with its dot; `.gz` is ignored."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def installed_file(package: str, *parts: str) -> Path | None:
    """A file inside an installed package, found without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]).joinpath(*parts)
    return path if path.exists() else None


def _open_bytes(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def _first_undecodable(path: Path) -> tuple[int, int] | None:
    """The line, counted from 1, and the first byte that is not UTF-8."""
    with _open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return number, line[error.start]
    return None
