"""Position embeddings depend on a step's position in its sequence; dropout of tokens and of their vectors."""

import math

import pytest
import torch

from ostinato.nn import Layout, PositionEmbedding, TokenEmbedding
from ostinato.nn.embedding import drop_words


@pytest.mark.parametrize("kind", ["learned", "sinusoidal"])
def test_positions_restart_in_every_sequence(kind):
    added = PositionEmbedding(6, kind=kind, num_positions=9)(torch.zeros(7, 6), Layout(torch.tensor([4, 3])))
    assert torch.equal(added[:3], added[4:])
    assert not torch.equal(added[0], added[1])


def test_sinusoidal_values_equal_the_formula_of_the_paper():
    added = PositionEmbedding(5, kind="sinusoidal", num_positions=1)(torch.zeros(3, 5), Layout(torch.tensor([3])))
    expected = [
        [wave(t / 10_000 ** (2 * pair / 5)) for pair in range(3) for wave in (math.sin, math.cos)][:5] for t in range(3)
    ]
    torch.testing.assert_close(added, torch.tensor(expected))


def test_positions_after_the_learned_table_share_its_last_row():
    added = PositionEmbedding(4, kind="learned", num_positions=3)(torch.zeros(6, 4), Layout(torch.tensor([6])))
    assert torch.equal(added[2], added[5])


@pytest.mark.parametrize("num_extra", [0, 3])
def test_embedding_dropout_drops_a_token_wherever_it_occurs(num_extra):
    embed = TokenEmbedding(400, 3, num_extra=num_extra, dropout=0.25)
    ids = torch.arange(400 + num_extra).repeat(2)
    vectors = embed.eval()(ids)
    dropped = embed.train()(ids)
    first, second = dropped.chunk(2)
    assert torch.equal(first, second)
    is_zero = (first[:400] == 0).all(dim=1)
    assert 60 < is_zero.sum() < 140  # 100, with a standard deviation of 8.7
    torch.testing.assert_close(dropped[:400][~is_zero], vectors[:400][~is_zero] / 0.75)


def test_words_are_dropped_one_by_one():
    ids = torch.full((10_000,), 7)
    dropped = drop_words(ids, 0.2)
    assert set(dropped.tolist()) == {0, 7}
    assert (dropped == 0).float().mean().item() == pytest.approx(0.2, abs=0.02)
