"""Labelled sequences from files of every format, as a stream of records; memory does not grow with the file."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.config import DataConfig
from ostinato.data.examples import Record, Sequence
from ostinato.data.fasta import with_labels
from ostinato.data.formats import Row, find_format, format_of, read_rows
from ostinato.data.timeseries import to_series
from ostinato.errors import ConfigError, DataError, suggest


def read_records(path: Path, config: DataConfig, *, labelled: bool = True) -> Iterator[Record]:
    """Stream a file's records; with `config.skip_unlabelled`, skip those without a label.

    Rows count from 1: in CSV and TSV the header is row 1, in JSONL and `.ts` a row is a line, in Parquet and FASTA a
    record. Labels are text without surrounding white space. A missing sequence is an empty text.

    Args:
        labelled: False: labels, splits and groups may be missing, as in a file to predict.

    Raises:
        DataError: the file is missing, empty, malformed or of an unknown format; a column is missing; a label is
            empty; sequences differ in kind; a series is not finite.
        ConfigError: `split_column` or `group_column` with a format that has no columns; FASTA without a source of
            labels.
        MissingExtraError: the file is FASTA and dnaio is not installed.
    """
    for record in _records(path, config, labelled):
        if record.label is not None or not labelled:
            yield record
        elif not config.skip_unlabelled:
            raise _unlabelled(record)


def read_labelled(path: Path, config: DataConfig) -> tuple[list[Record], int]:
    """All labelled records of a file, and how many were skipped because they have no label; see `read_records`."""
    found, skipped = [], 0
    for record in _records(path, config, labelled=True):
        if record.label is not None:
            found.append(record)
        elif config.skip_unlabelled:
            skipped += 1
        else:
            raise _unlabelled(record)
    return found, skipped


def peek(path: Path, rows: int = 1000) -> tuple[list[str], list[dict[str, object]]]:
    """The columns and the first rows of a file, to infer a config from.

    FASTA files have the columns id, header and sequence, `.ts` files series and label.

    Raises:
        DataError: the file is missing, empty, malformed or of an unknown format.
        MissingExtraError: the file is FASTA and dnaio is not installed.
    """
    first: list[dict[str, object]] = [row.values for row in islice(read_rows(path), rows)]
    return list(dict.fromkeys(column for row in first for column in row)), first


def _records(path: Path, config: DataConfig, labelled: bool) -> Iterator[Record]:
    kind = format_of(path, config.format)
    fixed = find_format(kind).columns
    text_column, label_column = fixed or (config.text_column, config.label_column)
    may_lack_label = config.skip_unlabelled and kind == "jsonl"  # a JSONL row without a label may lack its key
    label_needed = labelled and not may_lack_label
    first: str | None = None
    for row in _rows(path, kind, config, labelled):
        sequence = _to_sequence(_value(row, text_column, "text_column", True), row.source)
        first = first or _kind(sequence)
        if _kind(sequence) not in (first, None):
            raise DataError(
                f"{row.source}: the sequence is {_kind(sequence)}, but the first is {first}. "
                "Give all rows the same kind of sequence."
            )
        label = _to_text(_value(row, label_column, "label_column", label_needed), label_column, row.source)
        split = _optional(row, config.split_column, "split_column", labelled)
        group = _optional(row, config.group_column, "group_column", labelled)
        yield Record(sequence, label, split, group, row.source)


def _rows(path: Path, kind: str, config: DataConfig, labelled: bool) -> Iterator[Row]:
    """The rows of a file, with the labels of FASTA records."""
    if find_format(kind).columns and (config.split_column or config.group_column):
        option = "split_column" if config.split_column else "group_column"
        raise ConfigError(
            f"{path}: {kind} files have no column {config.split_column or config.group_column!r}. "
            f"Remove data.{option}, or convert the file to a format with columns."
        )
    rows = read_rows(path, kind)
    return with_labels(rows, config, labelled=labelled) if kind == "fasta" else rows


def _optional(row: Row, column: str | None, option: str, needed: bool) -> str | None:
    if column is None:
        return None
    text = _to_text(_value(row, column, option, needed), column, row.source)
    if text is None and needed:
        raise DataError(f"{row.source}: {column} is empty. Fill it in, or remove data.{option}.")
    return text


def _value(row: Row, column: str, option: str, needed: bool) -> Any:
    if needed and column not in row.values:
        raise DataError(
            f"{row.source}: no column {column!r}. {suggest(column, row.values)}Columns: {', '.join(row.values)}. "
            f"Set data.{option} to one of them."
        )
    return row.values.get(column)


def _to_text(value: Any, column: str, source: str) -> str | None:
    """A label, split or group as text; None for an empty cell."""
    if isinstance(value, (list, dict)):
        raise DataError(
            f"{source}: {column} is a {type(value).__name__}, expected a text or a number. Give each row one value."
        )
    if value is None or value != value:  # pandas writes an empty cell as NaN
        return None
    return str(value).strip() or None


def _to_sequence(value: Any, source: str) -> Sequence:
    if value is None:
        return ""
    if isinstance(value, (str, np.ndarray)):
        return value
    if not isinstance(value, list):
        raise DataError(
            f"{source}: the sequence is {value!r}. Expected a text, a list of events, or a list of numbers."
        )
    if set(map(type, value)) <= {str}:
        return value
    return to_series(value, source)


def _kind(sequence: Sequence) -> str | None:
    """What all sequences of a file must share; None for an empty sequence, which fits any."""
    if len(sequence) == 0:
        return None
    if isinstance(sequence, np.ndarray):
        return f"a series of {sequence.shape[1]} channels"
    return "a text" if isinstance(sequence, str) else "a list of events"


def _unlabelled(record: Record) -> DataError:
    return DataError(
        f"{record.place}: label is empty. Fill it in, or set data.skip_unlabelled = true to skip unlabelled rows."
    )
