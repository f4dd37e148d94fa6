import pytest

from ostinato.errors import DataError
from ostinato.tasks.classification.target import LabelTarget, refuse_numbers


@pytest.mark.parametrize(("labels", "is_sorted"), [("yyx", True), ("yxy", False), ("yy", False), ("yx", False)])
def test_sorted_labels_are_noticed(labels, is_sorted):
    assert LabelTarget().is_sorted(list(labels)) is is_sorted


def test_numbers_to_predict_are_refused_by_the_name_of_their_task():
    numbers = [f"{0.01 * row:.2f}" for row in range(30)]
    for use in (
        lambda kind: kind.split(numbers, None, (None, 0.2, 0.2), 0),
        lambda kind: kind.refuse_unusable("train", numbers),
        lambda kind: kind.folds(numbers, None, 3, 0),
    ):
        with pytest.raises(DataError, match='30 different numbers, such as 0.00.*"regression"'):
            use(LabelTarget())


@pytest.mark.parametrize(
    "labels", [list("123456789") * 2, [str(row % 20) for row in range(100)], list("abcdefghijklm")]
)
def test_few_numbers_and_many_words_may_be_classes(labels):
    refuse_numbers(labels)
    with pytest.raises(DataError, match="0.5"):  # as many numbers, all of them different
        refuse_numbers([f"{row}.5" for row in range(30)])
