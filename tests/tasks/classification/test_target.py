import pytest

from ostinato.tasks.classification.target import LabelTarget


@pytest.mark.parametrize(("labels", "is_sorted"), [("yyx", True), ("yxy", False), ("yy", False), ("yx", False)])
def test_sorted_labels_are_noticed(labels, is_sorted):
    assert LabelTarget().is_sorted(list(labels)) is is_sorted
