from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.errors import ConfigError, DataError
from ostinato.tasks.multilabel.stratify import iterative_split


def random_labels(seed: int, rows: int, frequencies: list[float]) -> np.ndarray:
    return (np.random.default_rng(seed).random((rows, len(frequencies))) < frequencies).astype(int)


def cost(labels: np.ndarray, split_of: np.ndarray) -> tuple[int, int]:
    """Labels missing from train, and from validation and test together."""
    missing = [int((labels[split_of == split].sum(axis=0) == 0).sum()) for split in range(3)]
    return missing[0], missing[1] + missing[2]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(40, 80), st.integers(4, 10), st.integers(4, 10), st.sampled_from([None, 15]))
def test_sizes_are_exact_and_splits_disjoint(seed, rows, validation, test, train):
    labels = random_labels(seed, rows, [0.5, 0.3, 0.1, 0.03])
    parts = iterative_split(labels, None, (train, validation, test), seed)
    assert [len(part) for part in parts] == [train or rows - validation - test, validation, test]
    assert len(set(chain(*(part.tolist() for part in parts)))) == sum(map(len, parts))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([8, 14]))
def test_no_swap_of_two_rows_leaves_fewer_labels_missing(seed, train):
    labels = random_labels(seed, 14, [0.5, 0.3, 0.2, 0.15, 0.1])
    parts = iterative_split(labels, None, (train - 6, 3, 3), seed)
    split_of = np.full(14, 3)
    for split, part in enumerate(parts):
        split_of[part] = split
    found = cost(labels, split_of)
    for first in range(14):
        for second in range(first):
            swapped = split_of.copy()
            swapped[[first, second]] = swapped[[second, first]]
            assert cost(labels, swapped) >= found


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000))
def test_every_split_gets_each_label_that_has_three_rows_of_its_own(seed):
    labels = np.repeat(np.eye(6, dtype=int), [3, 3, 4, 10, 20, 40], axis=0)
    for part in iterative_split(labels, None, (None, 0.1, 0.1), seed):
        assert (labels[part].sum(axis=0) > 0).all()


def test_a_rare_label_goes_to_train_then_test():
    labels = np.zeros((60, 3), int)
    labels[::2, 0] = 1
    labels[7, 1] = labels[[3, 40], 2] = 1
    train, validation, test = iterative_split(labels, None, (None, 10, 10), seed=0)
    assert labels[train].sum(axis=0)[1:].tolist() == [1, 1]
    assert labels[validation].sum(axis=0)[1:].tolist() == [0, 0]
    assert labels[test].sum(axis=0)[1:].tolist() == [0, 1]


def test_labels_have_their_share_of_each_split():
    labels = random_labels(3, 2000, [0.5, 0.2, 0.1, 0.05])
    for part, share in zip(iterative_split(labels, None, (None, 0.1, 0.2), seed=1), (0.7, 0.1, 0.2), strict=True):
        assert np.abs(labels[part].sum(axis=0) - share * labels.sum(axis=0)).max() <= 3


def test_rows_without_labels_are_split_too():
    labels = np.zeros((100, 1), int)
    labels[:20] = 1
    parts = iterative_split(labels, None, (None, 0.2, 0.2), seed=0)
    assert [int(labels[part].sum()) for part in parts] == [12, 4, 4]


def test_the_seed_alone_decides_the_draw():
    labels = random_labels(0, 200, [0.5, 0.1])
    first, again, other = (
        [part.tolist() for part in iterative_split(labels, None, (None, 20, 20), seed)] for seed in (3, 3, 4)
    )
    assert first == again != other


def test_groups_stay_together_and_shares_are_near():
    rng = np.random.default_rng(0)
    groups = [str(group) for group in rng.integers(200, size=2000)]
    labels = random_labels(1, 2000, [0.5, 0.2, 0.05])
    parts = iterative_split(labels, groups, (None, 0.1, 0.2), seed=0)
    held = [{groups[row] for row in part} for part in parts]
    assert not (held[0] & held[1] or held[0] & held[2] or held[1] & held[2])
    for part, share in zip(parts, (0.7, 0.1, 0.2), strict=True):
        assert abs(len(part) - share * 2000) <= 40
        assert np.abs(labels[part].sum(axis=0) / labels.sum(axis=0) - share).max() < 0.04


@pytest.mark.parametrize(
    ("labels", "groups", "sizes", "error", "message"),
    [
        (np.eye(2, dtype=int)[[0, 1] * 50], None, (90, 10, 10), ConfigError, "110 rows.*100"),
        (np.eye(2, dtype=int)[[0, 1] * 5], None, (None, 5, 5), ConfigError, "train"),
        (np.ones((50, 2), int), None, (None, 5, 5), DataError, r"train .*40 rows.*\[1, 1\]"),
        (np.full((50, 2), 2), None, (None, 5, 5), DataError, r"\(50, 2\)"),
        (np.eye(2, dtype=int)[[0, 1] * 10], ["g", "g", "h", "h"] * 5, (None, 0.1, 0.4), ConfigError, "empty: 2 groups"),
    ],
)
def test_what_cannot_be_split_is_refused(labels, groups, sizes, error, message):
    with pytest.raises(error, match=message):
        iterative_split(labels, groups, sizes, seed=0)
