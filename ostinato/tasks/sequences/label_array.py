"""Labels as a NumPy array. No PyTorch here."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def label_array(labels: Sequence[Any]) -> np.ndarray:
    """The labels as an array of the same values: of objects where NumPy would change one.

    NumPy drops NULs at the end of strings, and rounds integers that do not fit into 64 bits.
    """
    objects = np.empty(len(labels), dtype=object)
    objects[:] = labels
    if len({type(label) for label in labels}) > 1 or not isinstance(labels[0], str | int | float):
        return objects
    array = np.array(labels)
    is_same = all(type(a) is type(b) and a == b for a, b in zip(array.tolist(), labels, strict=True))
    return array if is_same else objects
