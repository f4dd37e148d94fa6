"""Columns of few different values: a number for each row, and the values in the order of first use."""

from array import array
from collections.abc import Hashable
from typing import Any

import numpy as np

from ostinato.data.cleaning import hashable


class Codes:
    """Collects the values of a column, which must be JSON values or tuples of them.

    Attributes:
        distinct: the values.
    """

    def __init__(self) -> None:
        self.distinct: list[Any] = []
        self._known: dict[Hashable, int] = {}
        self._codes = array("i")

    def add(self, value: Any) -> None:
        """Append a value."""
        key = hashable(value)
        code = self._known.setdefault(key, len(self.distinct))
        if code == len(self.distinct):
            self.distinct.append(value)
        self._codes.append(code)

    def array(self) -> np.ndarray:
        """The number of each row's value, (B,) int32."""
        return np.array(self._codes, np.int32)


def decoded(distinct: list[Any], codes: np.ndarray) -> list[Any]:
    """The values of the rows; rows of equal values share one object."""
    values = [tuple(value) if isinstance(value, list) else value for value in distinct]
    return [values[code] for code in codes.tolist()]
