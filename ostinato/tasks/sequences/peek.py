"""Look at a file before a config exists: its format, its columns and some of its rows."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.data.formats import find_format, format_of, read_rows
from ostinato.data.rows import Row, listed
from ostinato.errors import DataError, suggest
from ostinato.tasks.records import NOTHING_CHOSEN, Chosen
from ostinato.tasks.sequences.headers import LABEL_NAMES

Rows = list[dict[str, Any]]

TEXT_NAMES = ("text", "sequence", "seq", "tokens", "events", "series")
PEEKED_ROWS = 5_000
READ_WHOLE = 2**25  # bytes of a file that is read to its end, so that a sorted file shows all of its classes
COMPRESSED = 4  # times smaller than its text, roughly, is a gzip or Parquet file


@dataclass(frozen=True)
class Peek:
    """The format, the columns and some rows of a file: random ones of a small file, the first ones of a large file.

    The columns of FASTA are id, header and sequence; those of `.ts` are series and label.

    Args:
        total: the rows of the file, estimated if it is large.
        chosen: what a user says about the file.
    """

    path: Path
    form: str
    columns: list[str]
    rows: Rows
    total: int
    chosen: Chosen = NOTHING_CHOSEN

    @classmethod
    def of(cls, path: Path, rows: int = PEEKED_ROWS, chosen: Chosen = NOTHING_CHOSEN) -> "Peek":
        """Read the format, the columns and some rows of a file, in their order.

        Raises:
            DataError: the file is missing, empty, malformed or of an unknown format, or has no column of a chosen name.
            MissingExtraError: the file is FASTA and dnaio is not installed.
        """
        form = format_of(path)
        found, total = _some_rows(path, read_rows(path, form), rows)
        _refuse_unreadable(path, form, found, total)
        values = [row.values for row in found]
        columns = list(dict.fromkeys(column for row in values for column in row))
        peek = cls(path, form, columns, values, total, chosen)
        if peek.fixed_columns is None:
            _refuse_missing(peek)
        return peek

    @property
    def fixed_columns(self) -> tuple[str, str] | None:
        """The sequence and label columns of formats with fixed columns; None for other formats."""
        return find_format(self.form).columns

    @property
    def extent(self) -> str:
        """Which rows were read, for messages."""
        some = len(self.rows) < self.total
        return f"{len(self.rows):,} of about {self.total:,} rows" if some else f"all {self.total:,} rows"

    def values(self, column: str) -> list[Any]:
        """The non-empty values of a column."""
        found = (row.get(column) for row in self.rows)
        return [value for value in found if not (value is None or (isinstance(value, str) and value == ""))]


def _refuse_missing(peek: Peek) -> None:
    """Refuse a chosen column that the file does not have."""
    for column in (peek.chosen.label, peek.chosen.text):
        if column is not None and column not in peek.columns:
            raise DataError(
                f"{peek.path}: no column {column!r}. {suggest(column, peek.columns)}Columns: {listed(peek.columns)}."
            )


def _some_rows(path: Path, stream: Iterator[Row], count: int) -> tuple[list[Row], int]:
    """At most `count` rows, and the number of rows of the file."""
    found = list(islice(stream, count))
    if len(found) < count:
        return found, len(found)
    size = path.stat().st_size if path.is_file() else READ_WHOLE
    if count < PEEKED_ROWS or size >= READ_WHOLE:
        return found, _estimated(path, size, found)
    found += stream
    chosen = sorted(random.Random(0).sample(range(len(found)), count))
    return [found[row] for row in chosen], len(found)


def _estimated(path: Path, size: int, rows: list[Row]) -> int:
    """The rows of a file of so many bytes, judged by the text of its first ones."""
    text = sum(_size(value) + 1 for row in rows for value in row.values.values())
    factor = COMPRESSED if path.suffix in (".gz", ".parquet") else 1
    return max(len(rows), factor * size * len(rows) // max(text, 1))


def _size(value: Any) -> int:
    """The characters that a value has as text; of a series, about 8 for a number."""
    return 8 * value.size if isinstance(value, np.ndarray) else len(str(value))


def _refuse_unreadable(path: Path, form: str, rows: list[Row], total: int) -> None:
    """Refuse a table that has a column of sequences or labels which cannot be read; other columns do not matter.

    Raises:
        DataError: says why the column cannot be read.
    """
    missing = {column: None for row in rows for column in row.columns if column not in row.values}
    readable = {column for row in rows for column in row.values} - missing.keys()
    named = [column for column in missing if column.lower() in (*LABEL_NAMES, *TEXT_NAMES)]
    for column in named or (missing if len(readable) < 2 else ()):
        for _ in islice(read_rows(path, form, columns=[column]), total):
            pass
