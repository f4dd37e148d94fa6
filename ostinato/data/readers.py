"""Data files of every format as one stream of records; memory does not grow with the file."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.config import DataConfig
from ostinato.data.examples import Record, Sequence
from ostinato.data.fasta import fasta_rows, with_labels
from ostinato.data.files import ending_of
from ostinato.data.tables import Row, csv_rows, jsonl_rows, parquet_rows
from ostinato.data.timeseries import to_series, ts_rows
from ostinato.errors import ConfigError, DataError, suggest

READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "csv": csv_rows,
    "tsv": partial(csv_rows, delimiter="\t"),
    "jsonl": jsonl_rows,
    "parquet": parquet_rows,
    "fasta": fasta_rows,
    "ts": ts_rows,
}
ENDINGS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".fasta": "fasta",
    ".fa": "fasta",
    ".fna": "fasta",
    ".faa": "fasta",
    ".ts": "ts",
}
FIXED_COLUMNS = {"fasta": ("sequence", "label"), "ts": ("series", "label")}  # formats that have no columns to choose


def format_of(path: Path, config: DataConfig | None = None) -> str:
    """The format that the config names, else the one of the file's ending (`.gz` aside).

    Raises:
        DataError: the ending is unknown.
    """
    if config is not None and config.format is not None:
        return config.format
    ending = ending_of(path)
    if ending not in ENDINGS:
        raise DataError(
            f"{path}: unknown ending {ending!r}. Expected one of: {', '.join(ENDINGS)}. Convert the file, or set format."
        )
    return ENDINGS[ending]


def read_records(path: Path, config: DataConfig, *, labelled: bool = True) -> Iterator[Record]:
    """Stream a file's records, without those that `config.skip_unlabelled` leaves out.

    Rows are counted from 1 as a person counts: in CSV and TSV the header is row 1, in JSONL and `.ts` a row is a line,
    in Parquet and FASTA a record. Labels are text without surrounding blanks. A missing sequence is an empty text.

    Args:
        labelled: False: labels, splits and groups may be missing (a file to predict).

    Raises:
        DataError: the file is missing, empty, malformed or of an unknown format; a column is missing; a label is empty;
            sequences differ in kind; a series is not finite.
        ConfigError: `split_column` or `group_column` with a format that has no columns; FASTA without a place for labels.
        MissingExtraError: FASTA, and dnaio is not installed.
    """
    for record in _records(path, config, labelled):
        if record.label is not None or not labelled:
            yield record
        elif not config.skip_unlabelled:
            raise _unlabelled(record)


def read_labelled(path: Path, config: DataConfig) -> tuple[list[Record], int]:
    """All labelled records of a file, and how many without a label were left out; see `read_records`."""
    kept, skipped = [], 0
    for record in _records(path, config, labelled=True):
        if record.label is not None:
            kept.append(record)
        elif config.skip_unlabelled:
            skipped += 1
        else:
            raise _unlabelled(record)
    return kept, skipped


def peek(path: Path, rows: int = 1000) -> tuple[list[str], list[dict[str, object]]]:
    """The columns and the first rows of a file, to guess from: FASTA has id, header and sequence, `.ts` series and label.

    Raises:
        DataError: the file is missing, empty, malformed or of an unknown format.
        MissingExtraError: FASTA, and dnaio is not installed.
    """
    first: list[dict[str, object]] = [row for _, row in islice(READERS[format_of(path)](path), rows)]
    if not first:
        raise _no_rows(path)
    return list(dict.fromkeys(column for row in first for column in row)), first


def _records(path: Path, config: DataConfig, labelled: bool) -> Iterator[Record]:
    kind = format_of(path, config)
    text_column, label_column = FIXED_COLUMNS.get(kind, (config.text_column, config.label_column))
    label_needed = labelled and not (
        config.skip_unlabelled and kind == "jsonl"
    )  # a JSONL row without a label may lack its key
    first: str | None = None
    for place, row in _rows(path, config, labelled):
        sequence = _to_sequence(_value(row, text_column, "text_column", place, True), place)
        first = first or _kind(sequence)
        if _kind(sequence) not in (first, None):
            raise DataError(
                f"{place}: the sequence is {_kind(sequence)}, but the first is {first}. Give all rows one kind of sequence."
            )
        label = _to_text(_value(row, label_column, "label_column", place, label_needed), label_column, place)
        split = _optional(row, config.split_column, "split_column", place, labelled)
        group = _optional(row, config.group_column, "group_column", place, labelled)
        yield Record(sequence, label, split, group, place)


def _rows(path: Path, config: DataConfig, labelled: bool) -> Iterator[Row]:
    kind = format_of(path, config)
    if kind in FIXED_COLUMNS and (config.split_column or config.group_column):
        raise ConfigError(
            f"{path}: {kind} files have no columns, so no split_column and no group_column. Switch them off, or convert the file."
        )
    rows = READERS[kind](path)
    if kind == "fasta":
        rows = with_labels(rows, config, labelled=labelled)
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        raise _no_rows(path)


def _optional(row: dict[str, Any], column: str | None, key: str, place: str, needed: bool) -> str | None:
    if column is None:
        return None
    text = _to_text(_value(row, column, key, place, needed), column, place)
    if text is None and needed:
        raise DataError(f"{place}: {column} is empty. Fill it in, or set {key} to none.")
    return text


def _value(row: dict[str, Any], column: str, key: str, place: str, needed: bool) -> Any:
    if needed and column not in row:
        raise DataError(
            f"{place}: no column {column!r}. {suggest(column, row)}Columns: {', '.join(row)}. Set data.{key} to one of them."
        )
    return row.get(column)


def _to_text(value: Any, column: str, place: str) -> str | None:
    """A label, split or group as text; None where nothing is written."""
    if isinstance(value, (list, dict)):
        raise DataError(
            f"{place}: {column} is a {type(value).__name__}, expected a text or a number. Give each row one value."
        )
    if value is None or value != value:  # NaN is how pandas writes an empty cell
        return None
    return str(value).strip() or None


def _to_sequence(value: Any, place: str) -> Sequence:
    if value is None:
        return ""
    if isinstance(value, (str, np.ndarray)):
        return value
    if not isinstance(value, list):
        raise DataError(f"{place}: the sequence is {value!r}. Expected a text, a list of events, or a list of numbers.")
    if set(map(type, value)) <= {str}:
        return value
    return to_series(value, place)


def _kind(sequence: Sequence) -> str | None:
    """What all sequences of a file share; an empty one fits any."""
    if len(sequence) == 0:
        return None
    if isinstance(sequence, np.ndarray):
        return f"a series of {sequence.shape[1]} channels"
    return "a text" if isinstance(sequence, str) else "a list of events"


def _unlabelled(record: Record) -> DataError:
    return DataError(f"{record.place}: label is empty. Fill it in, or pass skip_unlabelled=True.")


def _no_rows(path: Path) -> DataError:
    return DataError(
        f"{path}: holds no rows. Expected at least one sequence; check that the file was written to its end."
    )
