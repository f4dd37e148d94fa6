import numpy as np

from ostinato.tasks.multilabel.report import describe_row, typical_rows, worst_rows
from ostinato.tasks.multilabel.scoring import Predictions


def predictions(targets, probabilities):
    targets, probabilities = np.array(targets), np.array(probabilities)
    return Predictions([f"row {row}" for row in range(len(targets))], targets, probabilities, np.array([0.5, 0.5]))


def test_worst_rows_have_the_most_wrong_labels_then_the_highest_loss():
    found = predictions([[1, 0], [1, 0], [1, 0], [1, 0]], [[0.9, 0.1], [0.4, 0.1], [0.2, 0.8], [0.1, 0.1]])
    assert worst_rows(found) == [2, 3, 1]


def test_typical_row_of_a_label_is_right_and_of_median_probability():
    found = predictions([[1, 0]] * 3 + [[0, 1]], [[0.9, 0.1], [0.6, 0.1], [0.7, 0.2], [0.3, 0.4]])
    assert typical_rows(found) == [2]


def test_row_is_described_by_its_labels_and_the_predicted_ones():
    assert describe_row(("a", "b"), ("a", "b")) == "it is a, b"
    assert describe_row(("a",), ()) == "it is a; predicted: none"
    assert describe_row((), ("b",)) == "it is without labels; predicted: b"
