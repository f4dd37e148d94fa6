"""Read records from data files of any format: a sequence, its target, its split and its group."""

import json
import reprlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ostinato.config import SequenceData
from ostinato.data.examples import Record
from ostinato.data.fasta import with_labels
from ostinato.data.formats import find_format, format_of, read_rows
from ostinato.data.rows import Row, to_text, value_of
from ostinato.data.sequences import kind_of, to_sequence
from ostinato.errors import ConfigError, DataError
from ostinato.tasks.sequences.targets import TargetKind

WITH_HEADER = ("csv", "tsv", "parquet")  # formats whose rows all have the same columns


def read_records(
    path: Path, config: SequenceData, kind: TargetKind, *, labelled: bool = True
) -> Iterator[Record | DataError]:
    """Stream the records of a file; yields a `DataError` in place of a row that cannot be read.

    Rows are counted from 1. In CSV and TSV, row 1 is the header; in JSONL and `.ts`, a row is a line; in Parquet and
    FASTA, a record. A missing sequence is read as an empty string.

    Args:
        labelled: False: targets, splits and groups may be missing, as in a file to predict.

    Raises:
        DataError: the file as a whole cannot be read, or the column of sequences is missing.
        ConfigError: `split_column` or `group_column` is set for a format with fixed columns.
        MissingExtraError: the format needs a package that is not installed.
    """
    form = format_of(path, config.format)
    fixed = find_format(form).columns
    _refuse_columns(path, form, config, fixed is not None)
    text_column, label_column = fixed or (config.text_column, None)
    may_lack_label = config.skip_unlabelled and form in ("jsonl", "json")  # unlabelled rows may lack the key
    first: str | None = None
    named = (text_column, *kind.columns(config), config.split_column, config.group_column)
    rows = read_rows(path, form, columns=[column for column in named if column is not None], keep_errors=True)
    for row in with_labels(rows, config, labelled=labelled) if form == "fasta" else rows:
        try:
            if row.error is not None:
                raise row.error
            sequence = to_sequence(value_of(row, text_column, "text_column"), row.source)
            target = _read_target(kind, row, config, label_column, labelled=labelled, needed=not may_lack_label)
            split = _optional(row, config.split_column, "split_column", labelled)
            group = _optional(row, config.group_column, "group_column", labelled)
            record = Record(sequence, target, split, group, row.source)
            found = kind_of(record.sequence)
            first = first or found
            if found not in (first, None):
                raise DataError(
                    f"{row.source}: the sequence is {found}, but the first one is {first}. "
                    "Use the same kind of sequence in all rows."
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
    """The target of a row; None if it is missing, or if it is invalid and not needed (`labelled` is False)."""
    try:
        return kind.read(row, config, column=column, needed=labelled and needed)
    except DataError:
        if labelled:
            raise
        return None


def read_labelled(path: Path, config: SequenceData, kind: TargetKind) -> tuple[list[Record], int]:
    """Read all labelled records of a file, and count the unlabelled rows that were skipped (`skip_unlabelled`).

    Raises:
        DataError: a row cannot be read, or it has no target and `skip_unlabelled` is off.
    """
    rows = list(labelled_or_skipped(path, config, kind))
    found = [row for row in rows if row is not None]
    return found, len(rows) - len(found)


def labelled_records(path: Path, config: SequenceData, kind: TargetKind) -> Iterator[Record | DataError]:
    """Stream the labelled records of a file; yields a `DataError` in place of a row that cannot be used.

    Unlabelled rows are left out if `skip_unlabelled` is set.
    """
    checked = (_labelled(record, config) for record in read_records(path, config, kind))
    return (record for record in checked if record is not None)


def labelled_or_skipped(path: Path, config: SequenceData, kind: TargetKind) -> Iterator[Record | None]:
    """Stream the labelled records of a file, and None for each unlabelled row that `skip_unlabelled` leaves out.

    Raises:
        DataError: a row cannot be used.
    """
    for record in read_records(path, config, kind):
        checked = _labelled(record, config)
        if isinstance(checked, DataError):
            raise checked
        yield checked


def _labelled(record: Record | DataError, config: SequenceData) -> Record | DataError | None:
    """The record if it has a target, else an error, or None if `skip_unlabelled` is set."""
    if isinstance(record, DataError) or record.target is not None:
        return record
    if config.skip_unlabelled:
        return None
    return DataError(
        f"{record.source}: no target. Fill it in, or skip unlabelled rows with data.skip_unlabelled = true "
        "(on the command line: --set data.skip_unlabelled=true)."
    ).at(record.source)


def _refuse_columns(path: Path, form: str, config: SequenceData, is_fixed: bool) -> None:
    for key in ("split_column", "group_column"):
        column = getattr(config, key)
        if is_fixed and column:
            raise ConfigError(
                f"{path}: {form} files have no column {column!r}. Remove data.{key}, or convert the file to a format "
                "with columns."
            )


def _optional(row: Row, column: str | None, key: str, needed: bool) -> str | None:
    if column is None:
        return None
    text = to_text(value_of(row, column, key, needed=needed), column, row.source)
    if text is None and needed:
        raise DataError(f"{row.source}: {column} is empty. Fill it in, or remove data.{key}.")
    return text


def record_of_value(value: Any, source: str, tokenizer: str) -> Record:
    """Turn a JSON value into a record: a text as `typed` reads it, a list of events, or a list of numbers.

    Raises:
        DataError: the value is not a sequence.
    """
    if isinstance(value, str):
        (record,) = typed([(source, value)], tokenizer)
        if isinstance(record, DataError):
            raise record
        return record
    return Record(to_sequence(value, source), None, None, None, source)


def typed(texts: Iterable[tuple[str, str]], tokenizer: str) -> Iterator[Record | DataError]:
    """Turn pairs of a source and a typed text into records; series and lists of events are typed as JSON arrays."""
    for source, text in texts:
        sequence: Any = text
        if tokenizer == "numeric" or (tokenizer == "events" and text.startswith("[")):
            try:
                sequence = json.loads(text or "[]")
                reason = None if isinstance(sequence, list) else f"it is of type {type(sequence).__name__}"
            except (ValueError, RecursionError) as error:
                reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            if reason is not None:
                example = "[1.5, 2] or [[1.5, 2], [3, 4]]" if tokenizer == "numeric" else '["open", "read"]'
                yield DataError(
                    f"{source}: {reprlib.repr(text)} is not a JSON array ({reason}). Write for example: {example}"
                ).at(source)
                continue
        yield Record(sequence, None, None, None, source)
