"""Sort, look up and save labels, for tasks with one or several labels per sequence."""

from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from ostinato.data.files import check_unicode
from ostinato.data.stored import Text
from ostinato.errors import DataError, suggest

SHOWN_LABELS = 20


def plain(label: Any) -> Any:
    """Turn a NumPy scalar into a Python value."""
    return label.item() if isinstance(label, np.generic) else label


def check_label(label: Any, source: str) -> Any:
    """The label as a Python value.

    Raises:
        DataError: it is None or NaN, cannot be hashed, or is not valid Unicode; names the row.
    """
    value = plain(label)
    equals_itself = isinstance(value, Hashable) and value == value
    if value is None or not isinstance(equals_itself, bool) or not equals_itself:  # NaN does not; pandas' NA has no say
        raise DataError(
            f"{source}: {label!r} cannot be a label. Expected a string, a number or a boolean. Correct it, or "
            "remove the row."
        )
    if isinstance(value, str):
        check_unicode(value, f"{source}, label")
    return value


def clash(labels: Iterable[Any]) -> tuple[Any, Any] | None:
    """Two labels of different types with the same text, as 1 and "1", or a boolean and a number equal to it; or None.

    JSON output identifies labels by their text.
    """
    texts: dict[str, Any] = {}
    values: dict[Any, Any] = {}
    for label in labels:
        other = texts.setdefault(str(label), label)
        if type(other) is not type(label):
            return other, label
        other = values.setdefault(label, label)
        if isinstance(other, bool) != isinstance(label, bool):
            return other, label
    return None


def refuse_clashing(labels: Iterable[Any]) -> None:
    """Refuse labels that JSON output could not distinguish.

    Raises:
        DataError: names two of them.
    """
    pair = clash(labels)
    if pair is not None:
        first, second = (f"{label!r} ({type(label).__name__})" for label in pair)
        raise DataError(f"y has both the labels {first} and {second}. Convert all labels to one type.")


def in_order(distinct: Collection[Any]) -> tuple[Any, ...]:
    """Sort labels; labels that cannot be compared are sorted by type and text."""
    try:
        return tuple(sorted(distinct))
    except TypeError:
        return tuple(sorted(distinct, key=lambda label: (type(label).__name__, str(label))))


def unknown_label(label: Any, labels: Sequence[Any], source: str) -> DataError:
    """The error for a label that does not occur in the training data; suggests the nearest one and lists the known."""
    known, hint = list(map(repr, labels)), suggest(str(label), map(str, labels))
    more = f" and {len(known) - SHOWN_LABELS} more" if len(known) > SHOWN_LABELS else ""
    return DataError(
        f"{source}: label {label!r} does not occur in the training data. {hint}Known labels: "
        f"{', '.join(known[:SHOWN_LABELS])}{more}. Correct it, or remove the row."
    )


def as_json(labels: Iterable[Any]) -> list[Any]:
    """The labels as JSON values.

    Raises:
        DataError: a label is not a string, a number or a boolean.
    """
    values = list(labels)
    for label in values:
        if not isinstance(label, str | int | float):
            kind = type(label).__name__
            raise DataError(
                f"label {label!r} of type {kind} cannot be saved. Expected a string, a number or a boolean. "
                "Convert the labels, and train again."
            )
    return values


def _apart(labels: list[Any]) -> list[Any]:
    pair = clash(labels)
    if pair is not None or len(set(labels)) < len(labels):
        raise ValueError("a label is repeated" if pair is None else f"the labels {pair} have the same text or value")
    return labels


StoredLabels = Annotated[list[Text | bool | int | float], Field(min_length=1), AfterValidator(_apart)]
