"""From the value of a cell to a sequence."""

import reprlib
from typing import Any

import numpy as np

from ostinato.data.examples import Sequence
from ostinato.data.timeseries import to_series
from ostinato.errors import DataError


def to_sequence(value: Any, source: str) -> Sequence:
    """The sequence in a cell of a data file; a missing one is an empty string.

    Raises:
        DataError: the value is not a string, a list of events, or a list of numbers.
    """
    if value is None:
        return ""
    if isinstance(value, (str, np.ndarray)):
        return value
    if not isinstance(value, list):
        raise DataError(
            f"{source}: the sequence is {reprlib.repr(value)}. "
            "Expected a string, a list of events, or a list of numbers."
        )
    if set(map(type, value)) <= {str}:
        return value
    return to_series(value, source)


def kind_of(sequence: Sequence) -> str | None:
    """The kind of a sequence, which must be the same in all rows; None for an empty sequence, which fits any kind."""
    if len(sequence) == 0:
        return None
    if isinstance(sequence, np.ndarray):
        return f"a series of {sequence.shape[1]} channels"
    return "a string" if isinstance(sequence, str) else "a list of events"
