"""A config for a file of labelled sequences, from its first rows; every decision comes with its reason."""

import re
from pathlib import Path
from typing import Any

from ostinato.config import SequenceModel
from ostinato.errors import DataError
from ostinato.tasks.base import Inferred
from ostinato.tasks.classification.config import ClassificationConfig, ClassificationData, ClassificationTraining
from ostinato.tasks.sequences.infer import LABEL_NAMES, Peek, infer_data, label_candidates, some

HEADER_LABELS = {  # in a FASTA header: a regular expression, and what its group is
    rf"(?i)\b(?:{'|'.join(LABEL_NAMES)})[=:]([^\s|;]+)": "what follows its name in the header",
    r"[\s=]([^\s=]+)$": "the end of the header, from the last blank or = on",
    r"\|([^|\s]+)$": "what follows the last | of the header",
}


def infer_config(path: Path) -> Inferred:
    """A complete config that trains on `path`, and the reason for each decision.

    Raises:
        DataError: the file cannot be read, or no column can be the sequence or the label.
        MissingExtraError: FASTA, and dnaio is not installed.
    """
    peek = Peek.of(path)
    reasons = [
        f"Inferred from the first {len(peek.rows):,} rows of {path.name}; correct what is wrong, then: ostinato train "
        "config.toml"
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
    """The first pattern that finds a plausible label in every FASTA header, else the name of a table to write."""
    headers = [str(row["header"]) for row in peek.rows]
    for pattern, where in HEADER_LABELS.items():
        labels = [match[1] for header in headers if (match := re.search(pattern, header))]
        if len(labels) == len(peek.rows) and _could_be_label(len(set(labels)), len(peek.rows)):
            reasons.append(f"label_pattern: the label is taken to be {where}, here {some(labels)}")
            return {"label_pattern": pattern}
    table = peek.path.with_name(f"{peek.path.name.partition('.')[0]}-labels.csv")
    reasons.append(
        f"label_table: no label found in the headers, the first is {headers[0]!r}; write this file, with the "
        "columns id and label"
    )
    return {"label_table": str(table)}


def _label_column(peek: Peek, reasons: list[str]) -> str:
    """A column by its name, else the one with the fewest different values, the last of several such."""
    columns = label_candidates(peek)
    found = {column: {str(value).strip() for value in peek.values(column)} for column in columns}
    named = [column for name in LABEL_NAMES for column in columns if column.lower() == name]
    few = sorted(
        (len(found[column]), -place, column)
        for place, column in enumerate(columns)
        if _could_be_label(len(found[column]), len(peek.rows))
    )
    if not named and not few:
        raise DataError(
            f"{peek.path}: no column looks like a label, with few different values. Columns: "
            f"{', '.join(columns)}. Name the right one `label`."
        )
    chosen = named[0] if named else few[0][2]
    labels = found[chosen]
    if len(labels) > max(2, len(peek.rows) // 2):
        raise DataError(
            f"{peek.path}: {chosen!r} has {len(labels)} different values in {len(peek.rows)} rows, as "
            f"{some(labels)}: not a label. "
            "Put a class in its place, as low and high for numbers, or name another column `label`."
        )
    if chosen in labels:
        raise DataError(
            f"{peek.path}: column {chosen!r} also holds the value {chosen!r}: the first row seems to be data. "
            "Add a first row with the columns' names."
        )
    rivals = "".join(f", or is it {column!r}?" for _, _, column in few if column != chosen and not named)
    alone = " alone: is the file sorted?" if len(labels) < 2 else ""
    reasons.append(
        f"label_column = {chosen!r}: {'by its name' if named else 'few different values'}, here "
        f"{some(labels)}{alone}{rivals}"
    )
    return chosen


def _could_be_label(distinct: int, rows: int) -> bool:
    return 2 <= distinct <= max(2, rows // 5)
