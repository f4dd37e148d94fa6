"""What a user hands to an estimator, as plain lists."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ostinato.data.examples import Records
from ostinato.errors import DataError


def records_of(X: Iterable[Any], y: Iterable[Any], name: str, sample_weight: Any = None) -> Records:
    """X and y, one target per sequence; `name` and a number, from 0, name a row.

    Rows of weight 0 are left out.

    Raises:
        DataError: they differ in number, X is not a list of sequences, or a weight is invalid.
    """
    sequences, targets = as_sequences(X), as_targets(y)
    if len(sequences) != len(targets):
        raise DataError(
            f"X has {len(sequences)} sequences, but y has {len(targets)} targets. Give one target per sequence."
        )
    records = Records(sequences, targets, [f"{name} {row}" for row in range(len(sequences))])
    weights = weights_of(sample_weight, len(sequences))
    if weights is None:
        return records
    return replace(records, weights=weights.tolist()).select(np.flatnonzero(weights))


def weights_of(sample_weight: Any, count: int) -> np.ndarray | None:
    """The weight of each of `count` rows, (n,) float64; None: all rows have the same weight.

    Raises:
        DataError: not one finite number of at least 0 per row, or all are 0.
    """
    if sample_weight is None:
        return None
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"sample_weight holds something other than numbers ({error}). Pass one number per row."
        ) from None
    if weights.shape != (count,):
        raise DataError(f"sample_weight has the shape {weights.shape}. Expected ({count},): one number per row.")
    for row in np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))[:1]:
        raise DataError(f"sample_weight of row {row} is {weights[row]}. Expected a finite number of at least 0.")
    if not weights.any():
        raise DataError(f"All {count} values of sample_weight are zero. Expected at least one above zero.")
    return weights


def as_targets(y: Any) -> list[Any]:
    """A target for each sequence.

    Raises:
        DataError: y is None, or not a sequence of targets.
    """
    if y is None:
        raise DataError("fit requires y to be passed, but the target y is None. Pass one target for each sequence.")
    return list(_iterable(y, "y"))


def as_sequences(X: Any) -> list[Any]:
    """A list of strings, of lists of strings, and of arrays.

    Raises:
        DataError: X is one string, a table, a sparse matrix, or not a collection.
    """
    if isinstance(X, str):
        raise DataError(f"X is the one string {X[:40]!r}: give a list of sequences, as [{X[:10]!r}].")
    if hasattr(X, "tocsr"):
        raise DataError(f"X is a {type(X).__name__}: sparse input is not supported. Pass X.toarray().")
    if isinstance(X, Mapping) or hasattr(X, "columns"):
        raise DataError(f"X is a {type(X).__name__}: give one column of it, as X['text'].")
    return [_as_sequence(each) for each in _iterable(X, "X")]


def _iterable(given: Any, name: str) -> Iterable[Any]:
    if isinstance(given, Iterable):
        return given
    if hasattr(given, "__array__"):
        return np.asarray(given)
    raise DataError(f"{name} is {given!r}. Expected a list, an array or a pandas Series.")


def _as_sequence(given: Any) -> Any:
    if isinstance(given, tuple):
        return list(given)
    return given.tolist() if isinstance(given, np.ndarray) and given.dtype.kind in "UO" else given


def identity(sequence: Any) -> Hashable:
    """Equal for equal sequences."""
    if isinstance(sequence, str):
        return sequence
    return repr(sequence.tolist() if isinstance(sequence, np.ndarray) else sequence)
