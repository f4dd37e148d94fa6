"""Infer a config from the first rows of a file of labelled sequences, with the reason for each decision."""

from pathlib import Path
from typing import Any

from ostinato.config import SequenceModel
from ostinato.data.fasta import label_table_of
from ostinato.data.rows import listed
from ostinato.errors import DataError
from ostinato.tasks.classification.config import ClassificationConfig, ClassificationData, ClassificationTraining
from ostinato.tasks.records import NOTHING_CHOSEN, Chosen, Inferred
from ostinato.tasks.sequences.defaults import choose_defaults
from ostinato.tasks.sequences.headers import LABEL_NAMES, class_in, headers_of
from ostinato.tasks.sequences.infer import infer_data, label_candidates, opening, some
from ostinato.tasks.sequences.peek import Peek

SHOWN_HEADERS = 3


def infer_config(path: Path, chosen: Chosen = NOTHING_CHOSEN) -> Inferred:
    """Infer a complete config that trains on `path`, with the reason for each decision.

    Raises:
        DataError: the file cannot be read, or no column can be the sequence or the label.
        MissingExtraError: the file is FASTA and dnaio is not installed.
    """
    peek = Peek.of(path, chosen=chosen)
    reasons = [opening(peek)]
    keys: dict[str, Any] = {}
    label = None
    if peek.form == "fasta":
        keys |= _fasta_label(path, reasons)
    elif peek.fixed_columns is None:
        label = _label_column(peek, reasons)
        keys["label_column"] = label
    found, facts = infer_data(peek, label, reasons)
    defaults = choose_defaults(facts, reasons)
    return Inferred(
        ClassificationConfig(
            data=ClassificationData(**found, **keys, **defaults.data),
            model=SequenceModel(**defaults.model),
            training=ClassificationTraining(**defaults.training),
        ),
        reasons,
    )


def _fasta_label(path: Path, reasons: list[str]) -> dict[str, str]:
    """The place of the label in the headers, else a label table beside the file; empty if there is neither."""
    headers = headers_of(path)
    found = class_in(headers)
    if found is not None:
        reasons.append(f"label_pattern: the label is {found.where}, such as {some(found.values)}")
        return {"label_pattern": found.pattern}
    table = label_table_of(path)
    if table is not None:
        reasons.append(f"label_table: {table.name} has a label for each id")
        return {"label_table": str(table)}
    shown = ", ".join(map(repr, headers[:SHOWN_HEADERS]))
    reasons.append(
        f"label_pattern: MISSING, because no part of the headers looks like a class. Headers: {shown}. Add to [data] a "
        r"line such as label_pattern = '\|(\w+)$', whose group 1 is the label; or write a table "
        f"{path.name.partition('.')[0]}.csv with the columns id and label, and run init again"
    )
    return {}


def _label_column(peek: Peek, reasons: list[str]) -> str:
    """A column by its name, else the one with the fewest distinct values; the last one if several are equal."""
    columns = label_candidates(peek)
    found = {column: {str(value).strip() for value in peek.values(column)} for column in columns}
    named = [column for name in LABEL_NAMES for column in columns if column.lower() == name]
    named = columns if peek.chosen.label else named
    few = sorted(
        (len(found[column]), -position, column)
        for position, column in enumerate(columns)
        if _could_be_label(len(found[column]), len(peek.rows))
    )
    if not named and not few:
        raise DataError(
            f"{peek.path}: no column looks like a label. Expected a column with few distinct values. Columns: "
            f"{listed(columns)}. Name the right one: --set data.label_column=COLUMN"
        )
    chosen = named[0] if named else few[0][2]
    labels = found[chosen]
    if len(labels) > max(2, len(peek.rows) // 2):
        raise DataError(
            f"{peek.path}: {chosen!r} has {len(labels)} distinct values in {len(peek.rows)} rows, such as "
            f"{some(labels)}, which is too many for classes. Replace the values by classes, such as low and high for "
            "numbers, or name another column: --set data.label_column=COLUMN"
        )
    if chosen in labels:
        raise DataError(
            f"{peek.path}: column {chosen!r} also contains the value {chosen!r}, so the first row seems to be data. "
            "Add a header row with the column names."
        )
    others = "".join(f", or is it {column!r}?" for _, _, column in few if column != chosen and not named)
    only = " only: is the file sorted?" if len(labels) < 2 else ""
    why = "as set" if peek.chosen.label else "by its name" if named else "few distinct values"
    reasons.append(f"label_column = {chosen!r}: {why}, here {some(labels)}{only}{others}")
    return chosen


def _could_be_label(distinct: int, rows: int) -> bool:
    return 2 <= distinct <= max(2, rows // 5)
