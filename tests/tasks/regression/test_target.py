"""Numbers are read from rows, and splits keep their distribution."""

import numpy as np
import pytest

from ostinato.data.rows import Row
from ostinato.errors import ConfigError, DataError
from ostinato.tasks.regression.config import RegressionData
from ostinato.tasks.regression.target import NumberTarget, strata_of, to_number

KIND = NumberTarget()


def rows(values):
    return [{"y": float(value)} for value in values]


def read(values, *columns, **options):
    data = RegressionData(path="x.csv", target_columns=list(columns) or None)
    return KIND.read(Row("x.csv, row 2", values), data, **({"column": None, "needed": True} | options))


@pytest.mark.parametrize(("cell", "number"), [("3.5", 3.5), (" -1e3 ", -1000.0), (4, 4.0), (np.float32(0.5), 0.5)])
def test_numbers_are_read(cell, number):
    assert to_number(cell, "y", "x.csv, row 2") == number


@pytest.mark.parametrize("cell", [None, "", "  "])
def test_empty_cell_is_no_number(cell):
    assert to_number(cell, "y", "x.csv, row 2") is None


@pytest.mark.parametrize("cell", ["high", "nan", "inf", "3,5", "1_000", True, [1.0], float("nan"), 10**400])
def test_anything_else_is_refused_with_its_row(cell):
    with pytest.raises(DataError, match="x.csv, row 2: y"):
        to_number(cell, "y", "x.csv, row 2")


def test_target_is_the_column_target_else_label():
    assert read({"target": "1", "label": "2"}) == {"target": 1.0}
    assert read({"label": "2"}) == {"target": 2.0}
    with pytest.raises(DataError, match="'target'"):
        read({"y": "1"})


def test_several_targets_are_complete_or_missing():
    assert read({"a": "1", "b": "2"}, "a", "b") == {"a": 1.0, "b": 2.0}
    assert read({"a": "", "b": ""}, "a", "b") is None
    with pytest.raises(DataError, match="row 2: b"):
        read({"a": "1", "b": ""}, "a", "b")


def test_format_with_one_number_refuses_two_targets():
    with pytest.raises(ConfigError, match="'a', 'b'"):
        read({"label": "1"}, "a", "b", column="label")


def test_splits_share_the_quantile_bins():
    values = np.random.default_rng(0).lognormal(size=1000)
    splits = KIND.split(rows(values), None, (None, 0.1, 0.2), seed=0)
    assert sorted(np.concatenate(splits).tolist()) == list(range(1000))
    assert [len(split) for split in splits] == [700, 100, 200]
    edges = np.quantile(values, np.arange(1, 10) / 10)
    for split in splits:
        counts = np.bincount(np.searchsorted(edges, values[split]), minlength=10)
        assert abs(counts - len(split) / 10).max() <= 1


def test_groups_stay_together():
    groups = [str(row // 4) for row in range(200)]
    splits = KIND.split(rows(np.arange(200)), groups, (None, 0.2, 0.2), seed=0)
    held = [{groups[row] for row in split} for split in splits]
    assert not (held[0] & held[1] or held[0] & held[2] or held[1] & held[2])


def test_few_rows_are_one_stratum():
    assert strata_of(rows(range(39))).tolist() == [0] * 39
    assert np.bincount(strata_of(rows(range(40)))).tolist() == [20, 20]
    assert strata_of(rows([0] * 95 + [1] * 5)).tolist() == [0] * 100


def test_every_row_is_in_one_fold():
    folds = KIND.folds(rows(np.arange(100) % 7), None, 5, seed=0)
    assert sorted(np.concatenate(folds).tolist()) == list(range(100))
    assert {len(fold) for fold in folds} == {20}


def test_more_folds_than_rows_or_groups_are_refused():
    with pytest.raises(ConfigError, match="folds 5"):
        KIND.folds(rows(range(4)), None, 5, seed=0)
    with pytest.raises(ConfigError, match="folds 3: .*2 groups"):
        KIND.folds(rows(range(4)), ["a", "a", "b", "b"], 3, seed=0)


def test_smaller_fraction_is_part_of_a_larger_one():
    targets = rows(np.random.default_rng(1).normal(size=300))
    small, large = KIND.fraction(targets, 0.1, 0), KIND.fraction(targets, 0.4, 0)
    assert set(small) < set(large)
    assert (len(small), len(large)) == (30, 120)


def test_constant_training_target_is_refused():
    with pytest.raises(DataError, match="train: b is 5"):
        KIND.refuse_unusable("train", [{"a": 1.0, "b": 5.0}, {"a": 2.0, "b": 5.0}])
    KIND.refuse_unusable("test", rows([5, 5]))


def test_quantiles_of_each_target_by_hand():
    found = KIND.describe([{"a": float(n), "b": -float(n)} for n in range(101)])
    assert found["values"]["a"] == {"lowest": 0, "5 %": 5, "median": 50, "95 %": 95, "highest": 100}
    assert found["values"]["b"]["lowest"] == -100


@pytest.mark.parametrize(
    ("values", "is_sorted"), [(range(30), True), (range(30, 0, -1), True), ([1] * 30, False), ([0, 2, 1] * 10, False)]
)
def test_sorted_rows_are_noticed(values, is_sorted):
    assert KIND.is_sorted(rows(values)) is is_sorted


@pytest.mark.parametrize("cell", ["1e155", -1e39, 10**40])
def test_a_number_too_large_for_float32_is_refused(cell):
    with pytest.raises(DataError, match=r"x\.csv, row 2: y is .*Expected a magnitude of at most 3\.4e\+38"):
        to_number(cell, "y", "x.csv, row 2")
