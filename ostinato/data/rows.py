"""A row of a data file, whatever the file's format."""

import datetime
import math
import reprlib
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ostinato.data.files import check_unicode
from ostinato.errors import DataError, suggest

SHOWN_COLUMNS = 20
DATED = (datetime.date, datetime.time, datetime.timedelta)  # a datetime is a date


class Row(NamedTuple):
    """One row of a data file; in a tagged corpus, one sentence.

    Args:
        source: the file and the row, as error messages show it: `train.csv, row 17`.
        values: from column to value. In a tagged corpus each value is a list with one item per token.
        lines: the line number of each token, in formats that write one token per line; `source` then ends in
            `, line N`.
        error: why the row cannot be read; then it has no values. A reader goes on with the next row.
        columns: all columns of the file, where `values` has only those that can be or had to be read.
    """

    source: str
    values: dict[str, Any]
    lines: Sequence[int] = ()
    error: DataError | None = None
    columns: Sequence[str] = ()

    def source_of(self, token: int) -> str:
        """The file and the line of a token, counted from 0; without lines, the row and the token counted from 1."""
        if self.lines:
            return f"{self.source.rpartition(', line ')[0]}, line {self.lines[token]}"
        return f"{self.source}, token {token + 1}"


def readable(rows: Iterable[Row]) -> Iterator[Row]:
    """The same rows.

    Raises:
        DataError: a row cannot be read.
    """
    for row in rows:
        if row.error is not None:
            raise row.error
        yield row


def value_of(row: Row, column: str, key: str, *, needed: bool = True) -> Any:
    """What a row holds in a column; None where the column may be missing and is.

    Args:
        key: the key of `[data]` that names the column.

    Raises:
        DataError: the column is needed and missing; suggests another.
    """
    if needed and column not in row.values:
        columns = row.columns or list(row.values)
        raise DataError(
            f"{row.source}: no column {column!r}. {suggest(column, columns)}Columns: {listed(columns)}. "
            f"Set data.{key} to one of them."
        )
    return row.values.get(column)


def listed(columns: Collection[str]) -> str:
    """The first columns, separated by commas, and the number of the others."""
    more = f" and {len(columns) - SHOWN_COLUMNS:,} more" if len(columns) > SHOWN_COLUMNS else ""
    return ", ".join(islice(columns, SHOWN_COLUMNS)) + more


def to_text(value: Any, column: str, source: str) -> str | None:
    """Convert the value of a cell to text, the same for every format; None for an empty cell.

    Text is stripped of white space. A boolean is `true` or `false`, as JSON writes it, and an integer has all its
    digits. A float has the fewest digits that identify it, and at least one decimal: 1.0.

    Raises:
        DataError: the value is infinite, not Unicode, or of another type, such as a list, an object or bytes.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and math.isnan(value)):  # pandas writes an empty cell as NaN
        return None
    if isinstance(value, str):
        check_unicode(value, f"{source}, column {column}")
        return value.strip() or None
    if isinstance(value, bool):
        return "true" if value else "false"
    is_number = isinstance(value, int) or (isinstance(value, float | Decimal) and math.isfinite(value))
    if not is_number and not isinstance(value, (*DATED, uuid.UUID)):
        raise DataError(
            f"{source}: {column} is {reprlib.repr(value)} ({type(value).__name__}), expected text or a finite number. "
            "Give each row one value."
        )
    return str(value)


def no_rows(path: Path) -> DataError:
    """The error for a file without rows."""
    return DataError(f"{path}: holds no rows. Expected at least one; check that the file is complete.")
