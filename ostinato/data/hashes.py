"""Compact hashes of rows, so that equal rows of other data are found without the rows themselves.

They have 64 bits: among a million rows and a million others, a false match has a probability of 1 in 10 million.
"""

from collections.abc import Hashable, Iterable
from hashlib import blake2b

import numpy as np


def row_hashes(keys: Iterable[Hashable]) -> np.ndarray:
    """A 64-bit hash of each key, (B,) int64; the same on every machine."""
    together = bytearray()
    for key in keys:
        together += blake2b(repr(key).encode(), digest_size=8).digest()
    return np.frombuffer(bytes(together), dtype="<i8").astype(np.int64)
