"""Records from data files of every format: a sequence, its target, its split and its group."""

import json
import reprlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ostinato.config import SequenceData
from ostinato.data.examples import Record, Sequence
from ostinato.data.fasta import with_labels
from ostinato.data.formats import find_format, format_of, read_rows
from ostinato.data.rows import Row, value_of
from ostinato.data.timeseries import to_series
from ostinato.errors import ConfigError, DataError
from ostinato.tasks.sequences.targets import TargetKind

WITH_HEADER = ("csv", "tsv", "parquet")  # all rows have the same columns


def read_records(
    path: Path, config: SequenceData, kind: TargetKind, *, labelled: bool = True
) -> Iterator[Record | DataError]:
    """Stream a file's records; a row that cannot be read is a `DataError` in its place.

    Rows count from 1: in CSV and TSV the header is row 1, in JSONL and `.ts` a row is a line, in Parquet and FASTA a
    record. A missing sequence is an empty text.

    Args:
        labelled: False: targets, splits and groups may be missing, as in a file to predict.

    Raises:
        DataError: the file as a whole cannot be read, or does not have the sequences' column.
        ConfigError: `split_column` or `group_column` with a format that has no columns.
        MissingExtraError: the format needs a package that is not installed.
    """
    form = format_of(path, config.format)
    fixed = find_format(form).columns
    _refuse_columns(path, form, config, fixed is not None)
    text_column, label_column = fixed or (config.text_column, None)
    may_lack_label = config.skip_unlabelled and form == "jsonl"  # a JSONL row without a label may lack its key
    first: str | None = None
    rows = read_rows(path, form, keep_errors=True)
    for row in with_labels(rows, config, labelled=labelled) if form == "fasta" else rows:
        try:
            if row.error is not None:
                raise row.error
            sequence = _to_sequence(value_of(row, text_column, "text_column"), row.source)
            target = _read_target(kind, row, config, label_column, labelled=labelled, needed=not may_lack_label)
            split = _optional(row, config.split_column, "split_column", labelled)
            group = _optional(row, config.group_column, "group_column", labelled)
            record = Record(sequence, target, split, group, row.source)
            found = _kind_of(record.sequence)
            first = first or found
            if found not in (first, None):
                raise DataError(
                    f"{row.source}: the sequence is {found}, but the first is {first}. "
                    "Give all rows the same kind of sequence."
                )
        except DataError as error:
            if row.error is None and form in WITH_HEADER and text_column not in row.values:
                raise  # every row lacks the column
            yield error.at(row.source)
        else:
            yield record


def _read_target(
    kind: TargetKind, row: Row, config: SequenceData, column: str | None, *, labelled: bool, needed: bool
) -> Any:
    """The target of a row; None where there is none, or the rows are not labelled and it cannot be read."""
    try:
        return kind.read(row, config, column=column, needed=labelled and needed)
    except DataError:
        if labelled:
            raise
        return None  # `predict` does not need it


def read_labelled(path: Path, config: SequenceData, kind: TargetKind) -> tuple[list[Record], int]:
    """All labelled records of a file, and how many without a target were skipped (`skip_unlabelled`).

    Raises:
        DataError: a row cannot be read, or has no target and is not to be skipped.
    """
    found, skipped = [], 0
    for record in read_records(path, config, kind):
        if isinstance(record, DataError):
            raise record
        if record.target is not None:
            found.append(record)
        elif config.skip_unlabelled:
            skipped += 1
        else:
            raise DataError(
                f"{record.source}: no target. Fill it in, or set data.skip_unlabelled = true to skip unlabelled rows."
            )
    return found, skipped


def _refuse_columns(path: Path, form: str, config: SequenceData, is_fixed: bool) -> None:
    for key in ("split_column", "group_column"):
        column = getattr(config, key)
        if is_fixed and column:
            raise ConfigError(
                f"{path}: {form} files have no column {column!r}. Remove data.{key}, or convert the file to a format "
                "with columns."
            )


def to_text(value: Any, column: str, source: str) -> str | None:
    """A label, split or group as text; None for an empty cell.

    Raises:
        DataError: it is a list or an object.
    """
    if isinstance(value, (list, dict)):
        raise DataError(
            f"{source}: {column} is a {type(value).__name__}, expected a text or a number. Give each row one value."
        )
    if value is None or value != value:  # pandas writes an empty cell as NaN
        return None
    return str(value).strip() or None


def _optional(row: Row, column: str | None, key: str, needed: bool) -> str | None:
    if column is None:
        return None
    text = to_text(value_of(row, column, key, needed=needed), column, row.source)
    if text is None and needed:
        raise DataError(f"{row.source}: {column} is empty. Fill it in, or set data.{key} to none.")
    return text


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


def _kind_of(sequence: Sequence) -> str | None:
    """What all sequences of a file must share; None for an empty sequence, which fits any."""
    if len(sequence) == 0:
        return None
    if isinstance(sequence, np.ndarray):
        return f"a series of {sequence.shape[1]} channels"
    return "a text" if isinstance(sequence, str) else "a list of events"


def typed(texts: Iterable[tuple[str, str]], tokenizer: str) -> Iterator[Record | DataError]:
    """Sequences as they are typed, each with its source; series, and lists of events, are JSON arrays."""
    for source, text in texts:
        sequence: Any = text
        if tokenizer == "numeric" or (tokenizer == "events" and text.startswith("[")):
            try:
                sequence = json.loads(text or "[]")
            except (ValueError, RecursionError) as error:
                example = "[1.5, 2] or [[1.5, 2], [3, 4]]" if tokenizer == "numeric" else '["open", "read"]'
                reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                yield DataError(
                    f"{source}: {reprlib.repr(text)} is not a JSON array ({reason}). Write for example: {example}"
                ).at(source)
                continue
        yield Record(sequence, None, None, None, source)
