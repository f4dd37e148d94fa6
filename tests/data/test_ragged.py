import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.ragged import Ragged
from ostinato.data.spans import spans

examples = settings(max_examples=50, deadline=None)


def ragged(*sequences):
    return Ragged(
        torch.tensor([value for sequence in sequences for value in sequence], dtype=torch.int32),
        torch.tensor([len(s) for s in sequences]),
    )


def as_lists(sequences):
    return [part.tolist() for part in sequences.values.split(sequences.lengths.tolist())]


def test_offsets_bound_each_sequence():
    assert ragged([5, 6], [], [7]).offsets.tolist() == [0, 2, 2, 3]


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=8), st.data())
@examples
def test_select_equals_choosing_from_a_list(sequences, data):
    indices = data.draw(st.lists(st.integers(-len(sequences), len(sequences) - 1), max_size=10))
    chosen = ragged(*sequences).select(np.array(indices, dtype=np.int64))
    assert as_lists(chosen) == [sequences[index] for index in indices]
    assert chosen.values.dtype == torch.int32


def test_select_keeps_channels_together():
    series = Ragged(torch.arange(8.0).reshape(4, 2), torch.tensor([1, 3]))
    chosen = series.select(torch.tensor([1, 0]))
    assert chosen.values.tolist() == [[2, 3], [4, 5], [6, 7], [0, 1]]
    assert chosen.lengths.tolist() == [3, 1]


def test_select_copies_so_that_the_whole_stays_as_it_was():
    whole = ragged([1, 2], [3])
    whole.select(torch.tensor([0, 1])).values.zero_()
    assert whole.values.tolist() == [1, 2, 3]


def test_lengths_that_do_not_add_up_are_caught():
    with pytest.raises(AssertionError, match="add up"):
        Ragged(torch.zeros(3), torch.tensor([1, 1]))


def test_lengths_stay_on_the_cpu_when_values_move():
    moved = Ragged(torch.zeros(3), torch.tensor([1, 2]), truncated=1).to("meta")
    assert moved.values.device.type == "meta"
    assert (moved.lengths.tolist(), moved.truncated) == ([1, 2], 1)


def test_select_gathers_on_the_device_of_the_values():
    moved = ragged([5, 6], [], [7]).to("meta").select(torch.tensor([2, 0]))
    assert (moved.values.device.type, moved.values.shape, moved.lengths.tolist()) == ("meta", (3,), [1, 2])


def test_digest_is_the_sha256_of_description_lengths_and_values():
    content = b"<i4 (3,) (2,)" + np.array([2, 1], "<i8").tobytes() + np.array([5, 6, 7], "<i4").tobytes()
    assert ragged([5, 6], [7]).digest() == hashlib.sha256(content).hexdigest()


def test_digest_tells_cuts_types_and_values_apart():
    variants = [
        ragged([5, 6], [7]),
        ragged([5], [6, 7]),
        ragged([5, 6], [8]),
        Ragged(torch.tensor([5.0, 6.0, 7.0]), torch.tensor([2, 1])),
        Ragged(torch.tensor([[5.0], [6.0], [7.0]]), torch.tensor([2, 1])),
    ]
    assert len({variant.digest() for variant in variants}) == len(variants)


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 5)), max_size=8))
@examples
def test_spans_equal_ranges(pairs):
    starts, lengths = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    assert spans(starts, lengths).tolist() == [
        place for start, length in pairs for place in range(start, start + length)
    ]
