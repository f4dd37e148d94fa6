import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from ostinato.errors import DataError
from ostinato.tasks.multilabel.label_sets import label_sets_of

MATRIX = [[1, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    "y",
    [
        MATRIX,
        np.array(MATRIX),
        np.array(MATRIX, dtype=bool),
        np.array(MATRIX, dtype=float),
        sparse.csr_matrix(MATRIX),
        sparse.csr_array(MATRIX),
    ],
    ids=["lists", "int", "bool", "float", "matrix", "array"],
)
def test_columns_of_an_indicator_matrix_are_numbered(y):
    found = label_sets_of(y)
    assert (found.rows, found.columns) == ([(0, 2), ()], (0, 1, 2))


def test_columns_of_a_data_frame_are_the_labels():
    found = label_sets_of(pd.DataFrame(MATRIX, columns=["x", "y", "z"]))
    assert (found.rows, found.columns) == ([("x", "z"), ()], ("x", "y", "z"))


def test_label_names_replace_the_numbers():
    assert label_sets_of(np.array(MATRIX), ["p", "q", "r"]).rows == [("p", "r"), ()]


@pytest.mark.parametrize("y", [[["a", "b"], [], ["a"]], [("a", "b"), (), ("a",)], pd.Series([["a", "b"], [], ["a"]])])
def test_labels_of_each_row_are_read_as_they_are(y):
    found = label_sets_of(y)
    assert (found.rows, found.columns) == ([("a", "b"), (), ("a",)], None)


def test_sets_of_numbers_are_labels_and_not_a_matrix():
    assert [set(row) for row in label_sets_of([{0, 1}, {1}]).rows] == [{0, 1}, {1}]


def test_repeated_label_counts_once():
    assert label_sets_of([["a", "a"], []]).rows == [("a",), ()]


@pytest.mark.parametrize(
    ("y", "shown"),
    [
        (["a|b", "a"], r"'a\|b'.*split"),
        (np.array(["a", "b"]), "'a'.*SequenceClassifier"),
        ([0, 1, 2], "0 in row 0.*SequenceClassifier"),
        (np.array([0, 1]), r"shape \(2,\)"),
        (np.array([[0.5, 1.0]]), r"y\[0, 0\].*0\.5.*SequenceRegressor"),
        ([["a", float("nan")]], "row 0.*nan"),
        ([[["a"]]], r"row 0.*\['a'\]"),
    ],
)
def test_targets_of_another_task_are_refused(y, shown):
    with pytest.raises(DataError, match=shown):
        label_sets_of(y)


@pytest.mark.parametrize("names", [["p"], ["p", "p", "q"]])
def test_label_names_must_fit_the_columns(names):
    with pytest.raises(DataError, match=r"\['p'.*3 columns"):
        label_sets_of(np.array(MATRIX), names)


def test_label_names_without_a_matrix_are_refused():
    with pytest.raises(DataError, match=r"\['p'\]"):
        label_sets_of([["a"], []], ["p"])


def test_further_rows_must_be_of_the_same_kind():
    fitted = label_sets_of(np.array(MATRIX))
    assert fitted.read_more(np.array([[0, 1, 0]])).rows == [(1,)]
    with pytest.raises(DataError, match="labels of each row"):
        fitted.read_more([["a"]])
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        fitted.read_more(np.array([[0, 1]]))


def test_reordered_columns_of_a_data_frame_are_refused():
    fitted = label_sets_of(pd.DataFrame(MATRIX, columns=["x", "y", "z"]))
    with pytest.raises(DataError, match=r"\['z', 'y', 'x'\]"):
        fitted.read_more(pd.DataFrame(MATRIX, columns=["z", "y", "x"]))
    assert fitted.read_more(np.array(MATRIX)).rows == [("x", "z"), ()]
