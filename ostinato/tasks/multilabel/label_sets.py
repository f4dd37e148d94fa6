"""What a user hands to the estimator as y: a matrix of 0 and 1, or the labels of each row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ostinato.errors import DataError
from ostinato.tasks.sequences.labels import check_label, plain, refuse_clashing


@dataclass(frozen=True)
class LabelSets:
    """The labels of each row.

    Args:
        rows: a tuple of distinct labels for each row.
        columns: the label of each column of an indicator matrix; None where y names the labels of each row.
    """

    rows: list[tuple[Any, ...]]
    columns: tuple[Any, ...] | None = None

    def read_more(self, y: Any) -> "LabelSets":
        """Further rows, of the same kind and with the same columns.

        Raises:
            DataError: y is of the other kind, has other columns, or cannot be used.
        """
        more = label_sets_of(y)
        if (more.columns is None) != (self.columns is None):
            kinds = ["an indicator matrix", "the labels of each row"]
            now, was = kinds if self.columns is None else kinds[::-1]
            raise DataError(f"y is {now}, and in fit it was {was}. Give the same kind.")
        if self.columns is None or more.columns == self.columns:
            return more
        assert more.columns is not None
        if len(more.columns) != len(self.columns) or hasattr(y, "columns"):
            raise DataError(
                f"y has the columns {list(more.columns)}, and in fit they were {list(self.columns)}. "
                "Give the same columns in the same order."
            )
        return label_sets_of(y, self.columns)


def label_sets_of(y: Any, label_names: Sequence[Any] | None = None) -> LabelSets:
    """Read y in the form of scikit-learn's multilabel classifiers, or of `MultiLabelBinarizer`.

    Args:
        y: an indicator matrix (n, L) of 0 and 1: an array, a sparse matrix, a data frame or equally long lists of 0 and
            1; or for each row a list, tuple or set of labels.
        label_names: what the columns of an indicator matrix are called; by default a data frame's columns, else 0 to
            L - 1.

    Raises:
        DataError: y is neither, has a single label for each row, or does not fit `label_names`.
    """
    frame_columns = list(y.columns) if hasattr(y, "columns") else None
    matrix = _indicator_of(y)
    if matrix is not None:
        names = label_names if label_names is not None else frame_columns or range(matrix.shape[1])
        return _from_indicator(matrix, tuple(map(plain, names)))
    if label_names is not None:
        raise DataError(
            f"label_names {list(label_names)} name the columns of an indicator matrix, and y names the labels of each "
            "row. Pass one of the two."
        )
    return LabelSets([_label_set(row, labels) for row, labels in enumerate(y)])


def _indicator_of(y: Any) -> np.ndarray | None:
    """Y as a matrix (n, L); None where it has labels for each row."""
    if hasattr(y, "toarray"):
        y = y.toarray()
    elif hasattr(y, "columns"):
        y = y.to_numpy()
    elif hasattr(y, "__array__") or (isinstance(y, list | tuple) and _is_table_of_flags(y)):
        y = np.asarray(y)
    if not isinstance(y, np.ndarray) or (y.dtype == object and y.ndim == 1):
        return None
    if y.ndim != 2:
        raise _single_labels(y[0] if len(y) else None, f"an array of shape {y.shape}")
    return y


def _is_table_of_flags(y: Sequence[Any]) -> bool:
    """Whether y is a list of equally long lists, of two or more numbers 0 and 1: no row of labels repeats a label."""
    if not y or not all(isinstance(row, list | tuple) for row in y):
        return False
    return len(y[0]) >= 2 and all(len(row) == len(y[0]) and all(_is_flag(cell) for cell in row) for row in y)


def _is_flag(cell: Any) -> bool:
    return isinstance(cell, bool | int | float | np.generic) and cell in (0, 1)


def _from_indicator(matrix: np.ndarray, names: tuple[Any, ...]) -> LabelSets:
    if len(names) != matrix.shape[1] or len(set(names)) < len(names):
        raise DataError(
            f"label_names {list(names)} for {matrix.shape[1]} columns of y. Expected one distinct name for each column."
        )
    wrong = np.argwhere(~np.isin(matrix, (0, 1)))
    if len(wrong):
        row, column = wrong[0]
        raise DataError(
            f"y[{row}, {column}] is {matrix[row, column]!r}. Expected 0 or 1: one column for each label. "
            "For numbers, use SequenceRegressor."
        )
    return LabelSets([tuple(names[column] for column in np.flatnonzero(row == 1)) for row in matrix], names)


def _label_set(row: int, labels: Any) -> tuple[Any, ...]:
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise _single_labels(labels, f"{labels!r} in row {row}")
    checked = [check_label(label, f"y, row {row}") for label in labels]
    refuse_clashing(checked)  # before equal ones, as 1 and True, become one
    return tuple(dict.fromkeys(checked))


def _single_labels(example: Any, found: str) -> DataError:
    hint = f"Write [{example!r}] for a row with one label, or use SequenceClassifier if each row has exactly one."
    if isinstance(example, str):
        hint = f"Split texts into lists, such as {example!r}.split('|'). {hint}"
    return DataError(f"y has {found}. Expected a list or set of labels for each row, or a matrix of 0 and 1. {hint}")
