"""CSV, TSV, JSONL and Parquet files as streams of rows."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ostinato.data.files import open_text, reading
from ostinato.data.rows import Row
from ostinato.errors import DataError

MAX_FIELD_SIZE = 2**31 - 1  # characters; Python's csv allows 131,072 by default, fewer than a long DNA sequence has


def csv_rows(path: Path, delimiter: str = ",") -> Iterator[Row]:
    """Read rows of text; the header is row 1, and a quoted field may hold line ends. Blank lines count but are skipped.

    Raises:
        DataError: see `reading`; a column name occurs twice, or a quote is never closed. A row with more or fewer
            fields than the header carries its error.
    """
    csv.field_size_limit(MAX_FIELD_SIZE)
    number = 0
    with open_text(path) as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
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


def _header(path: Path, fields: list[str]) -> list[str]:
    columns = [field.strip() for field in fields]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise DataError(f"{path}: column {twice[0]!r} occurs twice. Expected unique names. Rename or remove one.")
    return columns


def _named(header: list[str], fields: list[str], source: str) -> Row:
    if len(fields) != len(header):
        problem = (
            f"{source}: {len(fields)} fields, expected {len(header)} ({', '.join(header)}). "
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
        for number, line in enumerate(file, start=1):
            if line.isspace():
                continue
            source = f"{path}, row {number}"
            try:
                yield Row(source, _json_object(line, source))
            except DataError as error:
                yield Row(source, {}, error=error)


def _json_object(line: str, source: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{source}: not JSON ({error.msg} at character {error.pos + 1}). Write one JSON object per line."
        ) from None
    if not isinstance(values, dict):
        raise DataError(
            f"{source}: a JSON {type(values).__name__}, expected an object. "
            'Write lines such as {"text": …, "label": …}.'
        )
    return values


def parquet_rows(path: Path) -> Iterator[Row]:
    """Read rows of typed values, about a thousand at a time; the first is row 1.

    Raises:
        DataError: see `reading`; the file is not Parquet.
    """
    import pyarrow
    import pyarrow.parquet

    number = 0
    with reading(path):
        try:
            with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:  # pre-buffering would hold the whole file
                for batch in file.iter_batches(batch_size=1024):
                    for values in batch.to_pylist():
                        number += 1
                        yield Row(f"{path}, row {number}", values)
        except pyarrow.ArrowInvalid as error:
            raise DataError(
                f"{path}: not a complete Parquet file ({str(error).splitlines()[0]}). "
                "Write it again, or set data.format."
            ) from None
