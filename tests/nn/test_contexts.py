"""Which tokens a position predicts, and the vectors of regions: all by hand."""

import pytest
import torch

from ostinato.nn import TokenEmbedding
from ostinato.nn.contexts import SkipGram, TwoView, neighbours, region

ALIKE = torch.ones(10)


def shown(targets):
    """For each position, the token and the weight of each target."""
    rows = zip(targets.ids.tolist(), targets.weights.tolist(), strict=True)
    return [{token: weight for token, weight in zip(*row, strict=True) if weight} for row in rows]


def test_neighbours_count_by_distance_and_stay_within_their_sequence():
    found = shown(neighbours(torch.tensor([1, 2, 3, 4, 5]), torch.tensor([4, 1]), 2, ALIKE))
    assert found == [{2: 1.0, 3: 0.5}, {1: 1.0, 3: 1.0, 4: 0.5}, {1: 0.5, 2: 1.0, 4: 1.0}, {2: 0.5, 3: 1.0}, {}]


def test_neighbours_count_by_the_importance_of_both_tokens():
    importance = torch.tensor([1.0, 0.5, 0.25])
    found = neighbours(torch.tensor([0, 1, 2]), torch.tensor([3]), 1, importance)
    assert shown(found) == [{1: 0.5}, {0: 0.5, 2: 0.125}, {1: 0.125}]


def test_a_region_is_the_set_of_its_tokens_within_the_sequence():
    ids, lengths = torch.tensor([1, 2, 2, 1, 3, 4, 4]), torch.tensor([5, 2])
    found = shown(region(ids, lengths, 1, 3, ALIKE))
    assert [set(each) for each in found] == [{2, 1}, {2, 1, 3}, {1, 3}, {3}, set(), {4}, set()]
    assert all(weight == 1 for each in found for weight in each.values())
    before = shown(region(ids, lengths, -2, 2, ALIKE))
    assert [set(each) for each in before] == [set(), {1}, {1, 2}, {2}, {2, 1}, set(), {4}]


@pytest.mark.parametrize(
    ("window", "nexts", "previous"),
    [
        (1, [{2}, {3}, {4}, {5}, {6}, set()], [set(), {1}, {2}, {3}, {4}, {5}]),
        (2, [{3, 4}, {4, 5}, {5, 6}, {6}, set(), set()], [set(), {1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}]),
        (3, [{3, 4, 5}, {4, 5, 6}, {5, 6}, {6}, set(), set()], [set(), set(), {1}, {1, 2}, {1, 2, 3}, {2, 3, 4}]),
    ],
)
def test_next_and_previous_region_begin_where_the_own_one_ends(window, nexts, previous):
    model = TwoView(embed=TokenEmbedding(10, 2), window=window)
    found = model.targets(torch.arange(1, 7), torch.tensor([6]), ALIKE)
    assert [[set(each) for each in shown(side)] for side in found] == [nexts, previous]


@pytest.mark.parametrize(("window", "first", "last"), [(1, 0, 0), (2, 0, 1), (5, -2, 2)])
def test_the_vector_of_a_region_is_the_rectified_sum_over_its_tokens(window, first, last):
    torch.manual_seed(0)
    model = TwoView(embed=TokenEmbedding(10, 4), window=window)
    torch.nn.init.normal_(model.shift)
    texts = [[3, 1, 4, 1, 5, 9], [2, 6]]
    found = model(torch.tensor([*texts[0], *texts[1]]), torch.tensor([6, 2]))
    expected = []
    for text in texts:
        for position in range(len(text)):
            inside = text[max(position + first, 0) : position + last + 1]
            expected.append((model.embed.weight[inside].sum(0) + model.shift).clamp(min=0))
    assert torch.allclose(found, torch.stack(expected), atol=1e-6)


@pytest.mark.parametrize("network", [SkipGram, TwoView])
def test_what_a_sequence_predicts_does_not_depend_on_its_batch(network):
    model = network(embed=TokenEmbedding(10, 4), window=3)
    ids, lengths = torch.randint(10, (15,)), torch.tensor([4, 8, 3])
    alone, own = torch.split(ids, lengths.tolist())[1], slice(4, 12)
    assert torch.equal(model(ids, lengths)[own], model(alone, lengths[1:2]))
    for batch, single in zip(
        model.targets(ids, lengths, ALIKE), model.targets(alone, lengths[1:2], ALIKE), strict=True
    ):
        assert torch.equal(batch.weights[own], single.weights)
