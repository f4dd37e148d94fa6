"""A row of a data file, whatever the file's format."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ostinato.errors import DataError, suggest


class Row(NamedTuple):
    """One row of a data file; in a tagged corpus, one sentence.

    Args:
        source: the file and the row, as error messages show it: `train.csv, row 17`.
        values: from column to value. In a tagged corpus each value is a list with one item per token.
        lines: the line number of each token, in formats that write one token per line; `source` then ends in
            `, line N`.
        error: why the row cannot be read; then it has no values. A reader goes on with the next row.
    """

    source: str
    values: dict[str, Any]
    lines: Sequence[int] = ()
    error: DataError | None = None

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
        raise DataError(
            f"{row.source}: no column {column!r}. {suggest(column, row.values)}Columns: {', '.join(row.values)}. "
            f"Set data.{key} to one of them."
        )
    return row.values.get(column)


def no_rows(path: Path) -> DataError:
    """The error for a file without rows."""
    return DataError(f"{path}: holds no rows. Expected at least one; check that the file is complete.")
