"""Sort, look up and save labels, for tasks with one or several labels per sequence."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from ostinato.errors import DataError, suggest

SHOWN_LABELS = 20


def plain(label: Any) -> Any:
    """Turn a NumPy scalar into a Python value."""
    return label.item() if isinstance(label, np.generic) else label


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
