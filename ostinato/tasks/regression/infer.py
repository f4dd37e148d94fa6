"""A config for a file of sequences with a number each, from its first rows; every decision comes with its reason."""

from pathlib import Path
from typing import Any

from ostinato.errors import DataError
from ostinato.tasks.records import NOTHING_CHOSEN, Chosen, Inferred
from ostinato.tasks.regression.config import RegressionConfig, RegressionData, RegressionModel, RegressionTraining
from ostinato.tasks.regression.target import to_number
from ostinato.tasks.sequences.defaults import choose_defaults
from ostinato.tasks.sequences.headers import class_in, headers_of, number_in
from ostinato.tasks.sequences.infer import infer_data, label_candidates, opening
from ostinato.tasks.sequences.peek import TEXT_NAMES, Peek

MOST_WHOLE = 20  # different whole numbers that may be classes, whatever the number of rows
FEWEST_DECIMAL = 5  # different numbers, with decimals among them, that are unlikely to be classes
CLASS_SHARE = 5  # rows of each class, at least, where there are many
MOSTLY = 0.9  # of a column's values are numbers: the others are errors
IDENTIFIERS = ("id", "index", "key", "row", "number", "no")


def infer_config(path: Path, chosen: Chosen = NOTHING_CHOSEN) -> Inferred | None:
    """Infer a config that trains on `path`, with the reason for each decision; None if the labels look like classes.

    Raises:
        DataError: the file cannot be read.
        MissingExtraError: FASTA, and dnaio is not installed.
    """
    peek = Peek.of(path, chosen=chosen)
    reasons = [opening(peek)]
    keys: dict[str, Any]
    if peek.form == "fasta":
        headers = headers_of(path)
        found = None if class_in(headers) else number_in(headers)
        column, numbers = None, None if found is None else _numbers(found.values)
        keys, what = ({}, "") if found is None else ({"label_pattern": found.pattern}, found.where)
    elif peek.fixed_columns is not None:
        column, numbers = None, _numbers(peek.values(peek.fixed_columns[1]))
        keys, what = {}, "the label"
    else:
        column = _target_column(peek)
        numbers = None if column is None else _numbers(peek.values(column))
        keys, what = {"target_columns": [column]}, f"target_columns = [{column!r}]"
    if numbers is None or not _is_many(numbers):
        return None
    if column is not None:
        _refuse_other_values(peek, column)
    reasons.append(
        f'task = "regression": {what}: {len(set(numbers)):,} different numbers in {len(numbers):,} rows, from '
        f'{min(numbers):g} to {max(numbers):g}; for classes, set task = "classification" and label_column'
    )
    inferred, facts = infer_data(peek, column, reasons, size_matters=True)
    defaults = choose_defaults(facts, reasons)
    return Inferred(
        RegressionConfig(
            data=RegressionData(**inferred, **keys, **defaults.data),
            model=RegressionModel(**defaults.model),
            training=RegressionTraining(**defaults.training),
        ),
        reasons,
    )


def _target_column(peek: Peek) -> str | None:
    """A column with a label's name, else the last with many different numbers, where none looks like a class."""
    try:
        candidates = label_candidates(peek)
    except DataError:  # a single column: the first task of the table explains what is missing
        return None
    if len(candidates) == 1:
        return candidates[0]
    named_text = [column for column in candidates if column.lower() in TEXT_NAMES]
    columns = [column for column in candidates if column not in named_text and column.lower() not in IDENTIFIERS]
    if any(_could_be_class(peek.values(column), len(peek.rows)) for column in columns):
        return None
    numeric = [column for column in columns if (found := _numbers(peek.values(column))) and _is_many(found)]
    others = [column for column in candidates if column not in numeric]
    return numeric[-1] if numeric and (named_text or others) else None


def _numbers(values: list[Any]) -> list[float] | None:
    """The values as numbers; None where more than a few are something else, or there is none."""
    numbers = [number for value in values if (number := _number(value)) is not None]
    return numbers if numbers and len(numbers) >= MOSTLY * len(values) else None


def _number(value: Any) -> float | None:
    try:
        return to_number(value, "", "")
    except DataError:
        return None


def _refuse_other_values(peek: Peek, column: str) -> None:
    for value in peek.values(column):
        to_number(value, column, str(peek.path))


def _could_be_class(values: list[Any], rows: int) -> bool:
    """Whether a column has few different values, and not too many numbers for names of classes."""
    distinct = set(map(str, values))
    is_few = 2 <= len(distinct) <= max(2, rows // CLASS_SHARE)
    numbers = _numbers(values)
    return is_few and (numbers is None or (len(distinct) <= MOST_WHOLE and not _is_many(numbers)))


def _is_many(numbers: list[float]) -> bool:
    """Whether they differ too much to be the names of classes."""
    distinct = len(set(numbers))
    if all(number.is_integer() for number in numbers):
        return distinct > max(MOST_WHOLE, len(numbers) // CLASS_SHARE)
    return distinct > FEWEST_DECIMAL
