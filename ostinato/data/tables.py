"""CSV, TSV, JSONL and JSON files as streams of rows."""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from ostinato.data.files import open_text
from ostinato.data.rows import Row, listed
from ostinato.errors import DataError

MAX_FIELD_SIZE = 2**31 - 1  # characters; Python's csv allows 131,072 by default, fewer than a long DNA sequence has
DELIMITERS = ",;\t|"
QUOTED = re.compile(r'"[^"]*"')


def csv_rows(path: Path, delimiter: str = ",") -> Iterator[Row]:
    """Read rows of text; the header is row 1, and a quoted field may hold line ends. Blank lines count but are skipped.

    Args:
        delimiter: if the header does not contain it, but another of comma, semicolon, tab and |, then that one is used:
            spreadsheets write semicolons where the comma is the decimal sign.

    Raises:
        DataError: see `reading`; a column name occurs twice, or a quote is never closed. A row with more or fewer
            fields than the header carries its error.
    """
    csv.field_size_limit(MAX_FIELD_SIZE)
    number = 0
    with open_text(path) as file:
        opening = _opening(file)
        reader = csv.reader(chain(opening, file), delimiter=_delimiter(opening, delimiter), strict=True)
        header: list[str] = []
        try:
            for number, fields in enumerate(reader, start=1):
                if not fields:
                    continue
                if header:
                    yield _named(header, fields, f"{path}, row {number}")
                else:
                    header = _header(path, fields)
        except csv.Error as error:
            raise DataError(
                f"{path}, row {number + 1}: malformed CSV ({error}). "
                'Quote fields as in "a ""b"" c", and close each quote.'
            ) from None


def _opening(file: TextIO) -> list[str]:
    """The lines of a file up to the first that is not blank."""
    lines = []
    for line in file:
        lines.append(line)
        if not line.isspace():
            break
    return lines


def _delimiter(opening: list[str], usual: str) -> str:
    """The usual delimiter if the header contains it, or no delimiter at all; else the one it contains."""
    header = QUOTED.sub("", opening[-1]) if opening else ""
    return next((each for each in usual + DELIMITERS if each in header), usual)


def _header(path: Path, fields: list[str]) -> list[str]:
    columns = [field.strip() for field in fields]
    refuse_repeated(path, columns)
    return columns


def refuse_repeated(path: Path, columns: Iterable[str]) -> None:
    """Refuse a table with two columns of one name.

    Raises:
        DataError: names the column.
    """
    twice = sorted(column for column, count in Counter(columns).items() if count > 1)
    if twice:
        raise DataError(f"{path}: column {twice[0]!r} occurs twice. Expected unique names. Rename or remove one.")


def _named(header: list[str], fields: list[str], source: str) -> Row:
    if len(fields) != len(header):
        problem = (
            f"{source}: {len(fields)} fields, expected {len(header)} ({listed(header)}). "
            "Quote fields that contain the delimiter or a quote."
        )
        return Row(source, {}, error=DataError(problem))
    return Row(source, dict(zip(header, fields, strict=True)))


def jsonl_rows(path: Path) -> Iterator[Row]:
    """Read one JSON object per line; the first line is row 1. Blank lines count but are skipped.

    Raises:
        DataError: see `reading`. A line that is not a JSON object is a row that carries its error.
    """
    with open_text(path) as file:
        yield from _objects_of_lines(file, path)


def json_rows(path: Path) -> Iterator[Row]:
    """Read one JSON array of objects, all at once; its first item is row 1. Other files are read as JSONL.

    Raises:
        DataError: see `reading`; the array is malformed. An item that is not an object is a row that carries its error.
    """
    with open_text(path) as file:
        opening = _opening(file)
        if not opening or not opening[-1].lstrip().startswith("["):
            yield from _objects_of_lines(chain(opening, file), path)
            return
        items = _parsed("".join(opening) + file.read(), str(path))
    for number, item in enumerate(items, start=1):
        yield _object_row(item, f"{path}, row {number}")


def _objects_of_lines(lines: Iterable[str], path: Path) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if line.isspace():
            continue
        source = f"{path}, row {number}"
        try:
            yield _object_row(_parsed(line, source), source)
        except DataError as error:
            yield Row(source, {}, error=error)


def _object_row(value: Any, source: str) -> Row:
    if isinstance(value, dict):
        return Row(source, value)
    problem = (
        f'{source}: a JSON {type(value).__name__}, expected an object. Write objects such as {{"text": …, "label": …}}.'
    )
    return Row(source, {}, error=DataError(problem))


def _parsed(text: str, source: str) -> Any:
    """The value of a JSON text.

    Raises:
        DataError: it is not JSON, a key occurs twice in an object, it is nested too deeply, or an integer has more
            digits than Python reads.
    """
    try:
        return json.loads(text, object_pairs_hook=_with_unique_keys)
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise DataError(
            f"{source}: not JSON ({error.msg} at {line}character {error.colno}). "
            "Write one JSON object per line, or in a .json file one array of objects."
        ) from None
    except RecursionError:
        raise DataError(
            f"{source}: nested too deeply to be read. Expected an object of texts, numbers and lists. Remove the row."
        ) from None
    except ValueError as error:  # an integer of more than 4,300 digits
        reason = str(error).partition(";")[0]
        raise DataError(f"{source}: {reason}. Correct the number, or write it as text, in quotes.") from None


def _with_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise DataError(f"key {twice!r} occurs twice in an object. Expected unique keys. Rename or remove one.")
    return values
