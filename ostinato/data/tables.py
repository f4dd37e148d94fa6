"""CSV, TSV, JSONL and Parquet files as a stream of rows: each a place and a dict from column to value."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ostinato.data.files import open_text, reading
from ostinato.errors import DataError

Row = tuple[str, dict[str, Any]]

LARGEST_FIELD = 2**31 - 1  # characters; csv stops at 131,072 unless told, which a long DNA sequence passes


def csv_rows(path: Path, delimiter: str = ",") -> Iterator[Row]:
    """Read rows of text; the header is row 1, and a quoted field may hold line ends. Blank lines are counted and left out.

    Raises:
        DataError: see `reading`; a row has more or fewer fields than the header, a column is there twice, or a quote is never closed.
    """
    csv.field_size_limit(LARGEST_FIELD)
    number = 0
    with open_text(path) as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        header: list[str] = []
        try:
            for number, fields in enumerate(reader, start=1):
                if not fields:
                    continue
                if header:
                    yield f"{path}, row {number}", _named(header, fields, f"{path}, row {number}")
                else:
                    header = _header(path, fields)
        except csv.Error as error:
            raise DataError(
                f'{path}, row {number + 1}: not well-formed ({error}). Quote fields as "a ""b"" c", and close each quote.'
            ) from None


def _header(path: Path, fields: list[str]) -> list[str]:
    columns = [field.strip() for field in fields]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise DataError(f"{path}: column {twice[0]!r} is there twice. Rename or remove one.")
    return columns


def _named(header: list[str], fields: list[str], place: str) -> dict[str, Any]:
    if len(fields) != len(header):
        raise DataError(
            f"{place}: {len(fields)} fields, expected {len(header)} ({', '.join(header)}). Quote a field that holds the delimiter or a quote."
        )
    return dict(zip(header, fields, strict=True))


def jsonl_rows(path: Path) -> Iterator[Row]:
    """Read one JSON object a line; the first line is row 1. Blank lines are counted and left out.

    Raises:
        DataError: see `reading`; a line is not a JSON object.
    """
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if line.isspace():
                continue
            place = f"{path}, row {number}"
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(
                    f"{place}: not JSON ({error.msg} at character {error.pos + 1}). Write one JSON object a line."
                ) from None
            if not isinstance(row, dict):
                raise DataError(
                    f'{place}: a JSON {type(row).__name__}, expected an object. Write lines such as {{"text": …, "label": …}}.'
                )
            yield place, row


def parquet_rows(path: Path) -> Iterator[Row]:
    """Read rows of typed values, some thousand at a time; the first is row 1.

    Raises:
        DataError: see `reading`; the file is not Parquet.
    """
    import pyarrow
    import pyarrow.parquet

    number = 0
    with reading(path):
        try:
            with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:  # else it holds all that was read
                for batch in file.iter_batches(batch_size=1024):
                    for row in batch.to_pylist():
                        number += 1
                        yield f"{path}, row {number}", row
        except pyarrow.ArrowInvalid as error:
            raise DataError(
                f"{path}: not a whole Parquet file ({str(error).splitlines()[0]}). Write it again, or set format."
            ) from None
