import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.data.sampler import BucketSampler
from ostinato.errors import ConfigError
from ostinato.training.ranks import Ranks

LENGTHS = st.lists(st.integers(0, 60), min_size=4, max_size=300).map(torch.tensor)
SIZES = st.one_of(
    st.builds(dict, batch_size=st.integers(1, 9)),
    st.builds(dict, batch_size=st.just(1), max_tokens=st.integers(1, 200)),
)
examples = settings(max_examples=60, deadline=None)


def skewed_lengths(count):
    """Lengths as of reviews: most short, a few long."""
    return torch.empty(count).log_normal_(5, 0.7, generator=torch.Generator().manual_seed(1)).long() + 1


def as_lists(batches):
    return [batch.tolist() for batch in batches]


def padded_share(batches, lengths):
    return sum(len(batch) * int(lengths[batch].max()) for batch in batches) / int(lengths.sum()) - 1


@given(LENGTHS, SIZES, st.booleans(), st.integers(0, 5), st.integers(1, 4))
@examples
def test_every_index_comes_exactly_once_an_epoch(lengths, sizes, shuffle, epoch, world_size):
    batches = BucketSampler(lengths, **sizes, shuffle=shuffle, world_size=world_size).global_batches(epoch)
    assert sorted(index for batch in as_lists(batches) for index in batch) == list(range(len(lengths)))


@given(LENGTHS, SIZES, st.booleans(), st.integers(1, 4))
@examples
def test_ranks_share_each_global_batch_evenly_and_none_is_left_empty(lengths, sizes, shuffle, world_size):
    sampler = BucketSampler(lengths, **sizes, shuffle=shuffle, world_size=world_size)
    ranks = [Ranks(rank, world_size) for rank in range(world_size)]
    assert sampler.num_batches(3) == len(sampler.global_batches(3))
    for indices in sampler.batches(3):
        batch, dealt = indices.tolist(), as_lists(rank.part_of(indices) for rank in ranks)
        assert sorted(index for part in dealt for index in part) == sorted(batch)
        assert min(map(len, dealt)) >= 1
        assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


@given(LENGTHS, SIZES, st.booleans(), st.data())
@examples
def test_resumed_equals_uninterrupted(lengths, sizes, shuffle, data):
    sampler = BucketSampler(lengths, **sizes, shuffle=shuffle, seed=4)
    start = data.draw(st.integers(0, sampler.num_batches(1)))
    resumed = BucketSampler(lengths, **sizes, shuffle=shuffle, seed=4).batches(1, start)
    assert as_lists(resumed) == as_lists(sampler.batches(1))[start:]


@given(LENGTHS, st.integers(1, 200), st.booleans())
@examples
def test_max_tokens_bounds_padded_batches_of_more_than_one(lengths, max_tokens, shuffle):
    for batch in BucketSampler(lengths, batch_size=1, max_tokens=max_tokens, shuffle=shuffle).batches(0):
        assert len(batch) == 1 or len(batch) * int(lengths[batch].max()) <= max_tokens


@given(LENGTHS, st.integers(1, 200), st.integers(2, 4))
@examples
def test_max_tokens_bounds_each_rank_save_for_the_sequences_left_over(lengths, max_tokens, world_size):
    excesses = 0
    for batch in BucketSampler(lengths, batch_size=1, max_tokens=max_tokens, world_size=world_size).global_batches(0):
        count = -(-len(batch) // world_size)
        excesses += count > 1 and count * int(lengths[batch].max()) > max_tokens
    assert excesses <= (len(lengths) % world_size != 0)


def test_max_tokens_fills_batches_by_hand():
    sampler = BucketSampler(torch.tensor([4, 1, 9, 2, 3, 2]), batch_size=1, max_tokens=6, shuffle=False)
    assert as_lists(sampler.batches(0)) == [[1, 3, 5], [4], [0], [2]]  # lengths 1 2 2 | 3 | 4 | 9


def test_batches_hold_batch_size_sequences_but_for_one():
    batches = BucketSampler(skewed_lengths(1000), batch_size=32).global_batches(0)
    assert sorted(map(len, batches)) == [1000 % 32] + [32] * (1000 // 32)


def test_left_over_sequences_fewer_than_ranks_join_the_batch_before():
    sampler = BucketSampler(torch.arange(10), batch_size=2, shuffle=False, world_size=4)
    assert as_lists(sampler.global_batches(0)) == [list(range(10))]
    sampler = BucketSampler(torch.arange(12), batch_size=2, shuffle=False, world_size=4)
    assert as_lists(sampler.global_batches(0)) == [list(range(8)), list(range(8, 12))]


def test_plan_depends_on_seed_and_epoch():
    lengths = skewed_lengths(500)

    def plan(seed, epoch):
        return as_lists(BucketSampler(lengths, batch_size=8, seed=seed, world_size=2).global_batches(epoch))

    assert plan(0, 0) == plan(0, 0)
    assert len({str(plan(*pair)) for pair in [(0, 0), (0, 1), (1, 0), (1, 1)]}) == 4


@pytest.mark.parametrize("sizes", [{"batch_size": 32}, {"batch_size": 1, "max_tokens": 6000}])
def test_buckets_waste_a_tenth_of_the_padding_of_random_batches(sizes):
    lengths = skewed_lengths(20_000)
    bucketed = BucketSampler(lengths, **sizes).global_batches(0)
    rand = torch.randperm(len(lengths)).split(32)
    assert padded_share(bucketed, lengths) < 0.1 * padded_share(rand, lengths)


def test_in_order_of_length_almost_nothing_is_padded():
    lengths = skewed_lengths(20_000)
    batches = BucketSampler(lengths, batch_size=32, shuffle=False).global_batches(0)
    assert padded_share(batches, lengths) < 0.02
    longest = [int(lengths[batch].max()) for batch in batches]
    assert longest == sorted(longest)


def test_shuffled_batches_do_not_come_in_order_of_length():
    lengths = skewed_lengths(20_000)
    means = torch.stack(
        [lengths[batch].float().mean() for batch in BucketSampler(lengths, batch_size=32).global_batches(0)]
    )
    neighbours = torch.corrcoef(torch.stack([means[:-1], means[1:]]))[0, 1]
    assert abs(neighbours) < 0.2  # 0 when independent, with a standard error of 0.04


def meetings(lengths, batch_size):
    """How many pairs of batch mates of epoch 0 are batch mates in epoch 1 too, as a share."""
    sampler = BucketSampler(lengths, batch_size=batch_size)
    pairs = [
        {(a, b) for batch in as_lists(sampler.global_batches(epoch)) for a in batch for b in batch if a < b}
        for epoch in (0, 1)
    ]
    return len(pairs[0] & pairs[1]) / len(pairs[0])


def test_equal_lengths_are_shuffled_over_the_whole_data():
    assert meetings(torch.full((2000,), 60), 10) < 0.02  # 9 / 1,999 by chance


def test_batch_mates_change_even_in_small_data_of_distinct_lengths():
    assert meetings(torch.arange(320), 32) < 0.7


def test_fewer_sequences_than_ranks_are_refused():
    with pytest.raises(ConfigError, match="3 sequences .* 4 ranks"):
        BucketSampler(torch.tensor([1, 2, 3]), batch_size=1, world_size=4)


def test_no_sequences_make_no_batches():
    assert BucketSampler(torch.tensor([], dtype=torch.int64), batch_size=4, max_tokens=8).global_batches(0) == []
