"""Targets are standardised by the training rows, and keep their names."""

import numpy as np
import pytest

from ostinato.errors import DataError, RunError
from ostinato.tasks.regression.codec import NumberCodec

ROWS = [{"a": 1.0, "b": 10.0}, {"a": 3.0, "b": 10.0}]


def test_targets_are_scaled_to_mean_0_and_deviation_1():
    codec = NumberCodec.fit(ROWS)
    assert codec.mean == (2.0, 10.0)
    assert codec.scale == (1.0, 1.0)  # b never varies
    np.testing.assert_array_equal(codec.encode(ROWS, ["r0", "r1"]).numpy(), [[-1, 0], [1, 0]])


def test_order_of_the_names_does_not_matter():
    codec = NumberCodec.fit(ROWS)
    np.testing.assert_array_equal(codec.numbers([{"b": 7.0, "a": 5.0}], ["r0"]), [[5, 7]])


def test_single_target_may_have_another_name():
    assert NumberCodec.fit([{"y": 1.0}, {"y": 2.0}]).numbers([{"label": 4.0}], ["r0"]).tolist() == [[4.0]]


def test_other_targets_are_refused_with_their_row():
    with pytest.raises(DataError, match="test.csv, row 2: .*c"):
        NumberCodec.fit(ROWS).numbers([{"a": 1.0, "c": 2.0}], ["test.csv, row 2"])


def test_large_targets_keep_their_digits():
    codec = NumberCodec.fit([{"y": 1e9 + 0.25}, {"y": 1e9 + 0.75}])
    assert codec.encode([{"y": 1e9 + 0.25}], ["r"]).item() == -1


def test_codec_is_the_same_after_json():
    codec = NumberCodec.fit(ROWS)
    assert NumberCodec.from_json(codec.to_json()) == codec


@pytest.mark.parametrize("change", [{"names": []}, {"mean": [1.0]}, {"scale": [0.0, 1.0]}, {"mean": ["x", 1.0]}])
def test_damaged_codec_is_refused(change):
    with pytest.raises(RunError):
        NumberCodec.from_json(NumberCodec.fit(ROWS).to_json() | change)
