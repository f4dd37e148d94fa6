"""Infer a config from the first rows of a file of labelled sequences, with the reason for each decision."""

import re
from pathlib import Path
from typing import Any

from ostinato.config import SequenceModel
from ostinato.data.rows import listed
from ostinato.errors import DataError
from ostinato.tasks.base import Inferred
from ostinato.tasks.classification.config import ClassificationConfig, ClassificationData, ClassificationTraining
from ostinato.tasks.sequences.infer import HEADER_LABELS, LABEL_NAMES, Peek, infer_data, label_candidates, some


def infer_config(path: Path) -> Inferred:
    """Infer a complete config that trains on `path`, with the reason for each decision.

    Raises:
        DataError: the file cannot be read, or no column can be the sequence or the label.
        MissingExtraError: the file is FASTA and dnaio is not installed.
    """
    peek = Peek.of(path)
    reasons = [
        f"Inferred from the first {len(peek.rows):,} rows of {path.name}. Correct any mistakes, then run: ostinato "
        "train config.toml"
    ]
    keys: dict[str, Any] = {}
    label = None
    if peek.form == "fasta":
        keys |= _header_label(peek, reasons)
    elif peek.fixed_columns is None:
        label = _label_column(peek, reasons)
        keys["label_column"] = label
    data = ClassificationData(**infer_data(peek, label, reasons), **keys)
    model = SequenceModel(bidirectional=True, pooling=["mean", "max"], dropout=0.3)
    training = ClassificationTraining(max_epochs=30, lr=2e-3)
    return Inferred(ClassificationConfig(data=data, model=model, training=training), reasons)


def _header_label(peek: Peek, reasons: list[str]) -> dict[str, str]:
    """The first pattern that finds a plausible label in every FASTA header, else the path of a label table."""
    headers = [str(row["header"]) for row in peek.rows]
    for pattern, where in HEADER_LABELS.items():
        labels = [match[1] for header in headers if (match := re.search(pattern, header))]
        if len(labels) == len(peek.rows) and _could_be_label(len(set(labels)), len(peek.rows)):
            reasons.append(f"label_pattern: the label is {where}, such as {some(labels)}")
            return {"label_pattern": pattern}
    table = peek.path.with_name(f"{peek.path.name.partition('.')[0]}-labels.csv")
    reasons.append(
        f"label_table: the headers contain no labels (the first is {headers[0]!r}). Create this file with the "
        "columns id and label"
    )
    return {"label_table": str(table)}


def _label_column(peek: Peek, reasons: list[str]) -> str:
    """A column by its name, else the one with the fewest distinct values; the last one if several are equal."""
    columns = label_candidates(peek)
    found = {column: {str(value).strip() for value in peek.values(column)} for column in columns}
    named = [column for name in LABEL_NAMES for column in columns if column.lower() == name]
    few = sorted(
        (len(found[column]), -position, column)
        for position, column in enumerate(columns)
        if _could_be_label(len(found[column]), len(peek.rows))
    )
    if not named and not few:
        raise DataError(
            f"{peek.path}: no column looks like a label. Expected a column with few distinct values. Columns: "
            f"{listed(columns)}. Rename the right one to `label`."
        )
    chosen = named[0] if named else few[0][2]
    labels = found[chosen]
    if len(labels) > max(2, len(peek.rows) // 2):
        raise DataError(
            f"{peek.path}: {chosen!r} has {len(labels)} distinct values in {len(peek.rows)} rows, such as "
            f"{some(labels)}, which is too many for classes. Replace the values by classes, such as low and high for "
            "numbers, or rename another column to `label`."
        )
    if chosen in labels:
        raise DataError(
            f"{peek.path}: column {chosen!r} also contains the value {chosen!r}, so the first row seems to be data. "
            "Add a header row with the column names."
        )
    others = "".join(f", or is it {column!r}?" for _, _, column in few if column != chosen and not named)
    only = " only: is the file sorted?" if len(labels) < 2 else ""
    reasons.append(
        f"label_column = {chosen!r}: {'by its name' if named else 'few distinct values'}, here "
        f"{some(labels)}{only}{others}"
    )
    return chosen


def _could_be_label(distinct: int, rows: int) -> bool:
    return 2 <= distinct <= max(2, rows // 5)
