import pytest

from ostinato.tasks.sequences.separators import find_separator, split_labels


def test_labels_lose_blanks_and_empty_parts():
    assert split_labels(" Film noir ; Drama;;", ";") == ["Film noir", "Drama"]


@pytest.mark.parametrize("separator", ["|", ";", ","])
def test_short_texts_that_recur_have_a_separator(separator):
    texts = [f"a{separator}b", "a", f"b{separator}c", "", "c"] * 4
    assert find_separator(texts) == separator


@pytest.mark.parametrize(
    "texts",
    [
        ["a", "b"] * 5,
        [],
        ["I like it, and so, do they", "Well, no, never again"] * 5,
        [f"name {row}, place {row}" for row in range(20)],
        ["Paris, France", "Lyon, France", "Berlin, Germany"] * 5,
        ["x,y", *["z"] * 20],
    ],
    ids=["no separator", "nothing", "sentences", "nothing recurs", "places", "rarely"],
)
def test_other_texts_have_none(texts):
    assert find_separator(texts) is None
