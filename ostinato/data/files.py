"""Opening data files, with errors that name the file and the line."""

import codecs
import glob
import gzip
import importlib.util
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from ostinato.errors import DataError

ENCODINGS = {  # by byte-order mark; that of UTF-16 is also the start of that of UTF-32
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
BINARY = {  # by the first bytes
    b"\x1f\x8b": "compressed with gzip. Expected text. Add .gz to its name",
    b"PK\x03\x04": "a ZIP or Excel file. Expected text. Export it as CSV",
}
WESTERN = 0.2  # at most this share of a line's bytes is not ASCII in a Western European encoding


def files_of(path: str) -> list[Path]:
    """The files that a path names: itself, those in a folder, or those that match a pattern such as `logs/*.csv`.

    Those of a folder or a pattern are in the order of their names; hidden ones and folders are left out.

    Raises:
        DataError: no file matches.
    """
    place = Path(path)
    if place.is_dir():
        found = sorted(each for each in place.iterdir() if each.is_file() and not each.name.startswith("."))
    elif glob.has_magic(path) and not place.exists():
        found = sorted(each for each in map(Path, glob.glob(path, recursive=True)) if each.is_file())
    else:
        return [place]
    if not found:
        raise DataError(f"{path}: no file is there. Check the path; a relative one starts at {Path.cwd()}.")
    return found


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn errors of reading `path` into a `DataError`.

    Raises:
        DataError: the file is missing, unreadable, not gzip though it ends in `.gz`, or not UTF-8.
    """
    if "\0" in str(path):
        raise DataError(f"{str(path)!r}: not a path, because it contains a NUL character. Correct the path.")
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
        raise _not_text(path, error) from None


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file, also with gzip; line ends stay as they are.

    The encoding is UTF-8, with or without a byte-order mark, or UTF-16 or UTF-32 with one.

    Raises:
        DataError: see `reading`; also while the lines are read.
    """
    with (
        reading(path),
        _open_bytes(path) as file,
        io.TextIOWrapper(file, encoding=_encoding(path, file.peek(64)[:64]), newline="") as text,
    ):
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


def _open_bytes(path: Path) -> io.BufferedReader:
    # a GzipFile has all methods of a BufferedReader that are used here
    return cast(io.BufferedReader, gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def _encoding(path: Path, start: bytes) -> str:
    for mark, problem in BINARY.items():
        if start.startswith(mark):
            raise DataError(f"{path}: {problem}.")
    marked = next((encoding for mark, encoding in ENCODINGS.items() if start.startswith(mark)), None)
    if marked is None and len(start) >= 4 and not (any(start[1::2]) and any(start[::2])):
        order = "le" if not any(start[1::2]) else "be"
        raise DataError(
            f"{path}: every second byte is 0, as in UTF-16 without a byte-order mark. Expected UTF-8. Convert it: "
            f"iconv -f utf-16{order} -t utf-8"
        )
    return marked or "utf-8-sig"


def _not_text(path: Path, error: UnicodeDecodeError) -> DataError:
    """The error for a file that is not in its encoding: names the line, and suggests how to convert the file."""
    if not error.encoding.replace("-", "").startswith("utf8"):
        return DataError(
            f"{path}: damaged {error.encoding.upper()} ({error.reason}), which its byte-order mark announces. "
            "Write the file again, as UTF-8."
        )
    line, text, start = _first_undecodable(path) or (1, error.object, error.start)
    foreign = sum(byte > 0x7F for byte in text)
    advice = (
        ", for example: iconv -f windows-1252 -t utf-8"
        if foreign <= max(2, WESTERN * len(text))
        else " from its own encoding (such as windows-1251, gb18030 or shift_jis): iconv -f ENCODING -t utf-8"
    )
    return DataError(f"{path}, line {line}: not UTF-8 (byte 0x{text[start]:02x}). Convert the file{advice}")


def _first_undecodable(path: Path) -> tuple[int, bytes, int] | None:
    """The first line that is not UTF-8: its number, counted from 1, its bytes, and the position of the wrong one."""
    if not path.is_file():  # a pipe cannot be read again
        return None
    with _open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return number, line, error.start
    return None
