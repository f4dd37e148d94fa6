import json

import numpy as np
import pytest

from ostinato.errors import DataError, RunError
from ostinato.tasks.classification.codec import ClassCodec


def fit(labels):
    labels = list(labels)
    return ClassCodec.fit(labels, [f"train.csv, row {row}" for row in range(2, len(labels) + 2)])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["b", "a", "b"], ("a", "b")),
        ([2, 10, 1], (1, 2, 10)),
        (np.array([3, 1, 3]), (1, 3)),
        ([True, False, True], (False, True)),
        ([1, "a", "B"], (1, "B", "a")),
        ([("x", 1), ("a", 2), ("x", 1)], (("a", 2), ("x", 1))),
    ],
)
def test_labels_are_sorted_and_numbered(labels, expected):
    codec = fit(labels)
    assert codec.labels == codec.names == expected
    assert [type(label) for label in codec.labels] == [type(label) for label in expected]
    assert [codec.labels[index] for index in codec.encode(labels, [""] * len(labels))] == list(labels)


def test_a_label_missing_from_training_is_refused_with_its_row():
    codec = fit(["pos", "neg", "pos"])
    with pytest.raises(DataError, match=r"^test.csv, row 9: .*'post'.*'pos'\?.* 'neg', 'pos'\."):
        codec.encode(["pos", "post"], ["test.csv, row 8", "test.csv, row 9"])
    with pytest.raises(DataError, match=r"^row 1: label 7 "):
        codec.encode(np.array([7]), ["row 1"])
    with pytest.raises(DataError, match=r"^row 1: label \['pos'\] "):
        codec.encode([["pos"]], ["row 1"])


def test_many_known_labels_are_not_all_listed():
    with pytest.raises(DataError, match=r"18, 19 and 10 more\."):
        fit(range(30)).encode([-1], ["row 1"])


@pytest.mark.parametrize("label", [float("nan"), ["a"], np.array([1, 0])])
def test_a_label_that_is_not_one_value_is_refused_with_its_row(label):
    with pytest.raises(DataError, match=r"^train.csv, row 3: .*(nan|a|1, 0)"):
        fit(["a", label])


def test_json_round_trip_is_exact():
    codec = fit([1, "one", 1.5, False, 0.1, 2**53 + 1, 2**70, "a\0", "a"])
    restored = ClassCodec.from_json(json.loads(json.dumps(codec.to_json())))
    assert restored == codec
    assert [type(label) for label in restored.labels] == [type(label) for label in codec.labels]


def test_a_label_that_json_cannot_hold_is_refused():
    with pytest.raises(DataError, match=r"\('a', 1\) of type tuple"):
        fit([("a", 1)]).to_json()


@pytest.mark.parametrize("fields", [{}, {"labels": "ab"}, {"labels": ["a", None]}])
def test_json_without_usable_labels_is_refused(fields):
    with pytest.raises(RunError, match="codec.labels"):
        ClassCodec.from_json(fields)
