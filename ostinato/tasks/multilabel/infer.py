"""A config for a file of sequences with several labels each, from its first rows, with a reason for each decision."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ostinato.config import SequenceModel
from ostinato.tasks.multilabel.config import MultilabelConfig, MultilabelData, MultilabelTraining
from ostinato.tasks.multilabel.target import FLAGS
from ostinato.tasks.records import NOTHING_CHOSEN, Chosen, Inferred
from ostinato.tasks.sequences.defaults import choose_defaults
from ostinato.tasks.sequences.headers import LABEL_NAMES
from ostinato.tasks.sequences.infer import infer_data, label_candidates, opening, some
from ostinato.tasks.sequences.peek import TEXT_NAMES, Peek
from ostinato.tasks.sequences.separators import find_separator, split_labels

NAMES = (*LABEL_NAMES, "tags", "genres", "genre", "topics", "categories", "classes")


def infer_config(path: Path, chosen: Chosen = NOTHING_CHOSEN) -> Inferred | None:
    """Infer a config that trains on `path`, with the reason for each decision; None if every row has one label.

    Raises:
        DataError: the file cannot be read.
    """
    peek = Peek.of(path, chosen=chosen)
    if peek.fixed_columns is not None or len(peek.columns) < 2:
        return None
    reasons = [opening(peek)]
    keys = _label_column(peek, reasons) or ({} if chosen.label else _label_columns(peek, reasons))
    if not keys:
        return None
    labels = keys.get("label_columns", [keys.get("label_column")])
    others = replace(peek, columns=[column for column in peek.columns if column not in labels])
    found, facts = infer_data(others, None, reasons)
    defaults = choose_defaults(facts, reasons)
    return Inferred(
        MultilabelConfig(
            data=MultilabelData(**found, **keys, **defaults.data),
            model=SequenceModel(**defaults.model),
            training=MultilabelTraining(**defaults.training),
        ),
        reasons,
    )


def _label_column(peek: Peek, reasons: list[str]) -> dict[str, Any]:
    """A column of lists of labels, or of texts with a separator; by its name first."""
    columns = [column for column in label_candidates(peek) if column.lower() not in TEXT_NAMES]
    named = [column for name in NAMES for column in columns if column.lower() == name]
    for column in named or columns:
        values = peek.values(column)
        if values and all(_is_label_list(value) for value in values):
            found = some(label for value in values for label in value)
            reasons.append(f'task = "multilabel", label_column = {column!r}: it holds lists, here of {found}')
            return {"label_column": column}
        if values and all(isinstance(value, str) for value in values):
            separator = find_separator(values)
            if separator is not None:
                found = some(label for value in values for label in split_labels(value, separator))
                reasons.append(
                    f'task = "multilabel", label_column = {column!r}, label_separator = {separator!r}: it separates '
                    f"short texts that recur, here {found}"
                )
                return {"label_column": column, "label_separator": separator}
    return {}


def _label_columns(peek: Peek, reasons: list[str]) -> dict[str, Any]:
    """All columns of 0 and 1, where there are two or more and no column is named as a label."""
    columns = [column for column in peek.columns if column.lower() not in TEXT_NAMES]
    if any(column.lower() in LABEL_NAMES for column in columns):
        return {}
    flags = [column for column in columns if _are_flags(peek.values(column))]
    if len(flags) < 2:
        return {}
    reasons.append(f'task = "multilabel", label_columns = {flags}: they hold only 0 and 1, or false and true')
    return {"label_columns": flags}


def _is_label_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(label, str) for label in value)


def _are_flags(values: Iterable[Any]) -> bool:
    found = {str(value).strip().lower() for value in values}
    return bool(found) and found <= FLAGS.keys()
