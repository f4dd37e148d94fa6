from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.splits import stratified_split
from ostinato.errors import ConfigError, DataError


def split(labels, sizes, groups=None, seed=0):
    return [part.tolist() for part in stratified_split(labels, groups, sizes, seed)]


def test_a_sorted_file_gives_every_split_each_class_in_its_share():
    labels = ["neg"] * 600 + ["pos"] * 300 + ["rare"] * 100
    parts = split(labels, (None, 0.1, 0.2))
    assert [Counter(labels[i] for i in part) for part in parts] == [
        {"neg": 420, "pos": 210, "rare": 70},
        {"neg": 60, "pos": 30, "rare": 10},
        {"neg": 120, "pos": 60, "rare": 20},
    ]
    assert sorted(chain(*parts)) == list(range(1000))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(20, 60), min_size=2, max_size=6),
    st.integers(6, 15),
    st.integers(6, 15),
    st.sampled_from([None, 10]),
)
def test_sizes_are_exact_and_class_shares_hold_within_one_row(totals, validation, test, train):
    labels = [str(label) for label, total in enumerate(totals) for _ in range(total)]
    parts = split(labels, (train, validation, test))
    assert [len(part) for part in parts] == [train or len(labels) - validation - test, validation, test]
    assert len(set(chain(*parts))) == sum(map(len, parts))
    for part in parts:
        for label, total in enumerate(totals):
            assert abs(sum(labels[i] == str(label) for i in part) - total * len(part) / len(labels)) <= 1 + 1e-9


def test_the_seed_alone_decides_the_draw():
    labels = ["a", "b"] * 50
    assert split(labels, (None, 10, 10), seed=3) == split(labels, (None, 10, 10), seed=3)
    assert split(labels, (None, 10, 10), seed=3) != split(labels, (None, 10, 10), seed=4)


def test_the_rows_of_a_split_come_from_all_over_the_file():
    test = [set(split(["a"] * 500 + ["b"] * 500, (None, 0, 100), seed=seed)[2]) for seed in (0, 1)]
    assert test[0] != test[1]
    for rows in test:
        assert all(len(rows & set(range(start, start + 250))) > 10 for start in range(0, 1000, 250))


def test_rows_beyond_the_sizes_stay_unused():
    parts = split(["a", "b"] * 500, (200, 50, 100))
    assert [len(part) for part in parts] == [200, 50, 100]


def test_a_size_of_zero_gives_an_empty_split():
    assert [len(part) for part in split(["a", "b"] * 5, (None, 0, 0.0))] == [10, 0, 0]


def test_groups_stay_together_and_shares_are_near():
    rng = np.random.default_rng(0)
    groups = [str(g) for g in rng.integers(200, size=2000)]
    labels = [("a", "b")[int(u < 0.3)] for u in rng.random(2000)]
    parts = split(labels, (None, 0.1, 0.2), groups)
    held = [{groups[i] for i in part} for part in parts]
    assert not (held[0] & held[1] or held[0] & held[2] or held[1] & held[2])
    for part, share in zip(parts, (0.7, 0.1, 0.2), strict=True):
        assert abs(len(part) - share * 2000) <= 20
        assert abs(np.mean([labels[i] == "b" for i in part]) - np.mean([label == "b" for label in labels])) < 0.03


@pytest.mark.parametrize(
    ("labels", "sizes", "error", "message"),
    [
        (["a", "b"] * 50, (90, 10, 10), ConfigError, "ask for 110 rows, but there are 100"),
        (["a", "b"] * 50, (0.9, 0.2, 0), ConfigError, "ask for 110 rows, but there are 100"),
        (["a", "b"] * 5, (None, 0.05, 0.2), ConfigError, "validation_size 0.05.*of 10 rows leave none for validation"),
        (["a", "b"] * 5, (None, 5, 5), ConfigError, "leave none for train"),
        (["a"] * 50 + ["b"], (None, 5, 5), DataError, r"class 'b' has 1 row\. Expected at least 2"),
        (
            ["a"] * 50,
            (None, 5, 5),
            DataError,
            r"one-class split \(refused\): train holds only the class 'a' \(40 rows\)",
        ),
        (
            ["a"] * 98 + ["b"] * 2,
            (None, 10, 10),
            DataError,
            r"one-class split \(refused\): \w+ holds only the class 'a'",
        ),
    ],
)
def test_sizes_and_classes_that_cannot_be_split_are_refused(labels, sizes, error, message):
    with pytest.raises(error, match=message):
        split(labels, sizes)


def test_too_few_groups_are_refused():
    with pytest.raises(ConfigError, match="validation would be empty: 2 groups"):
        split(["a", "b"] * 10, (None, 0.1, 0.4), ["g", "g", "h", "h"] * 5)
