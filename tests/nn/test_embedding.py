"""Position embeddings depend on a step's position in its sequence."""

import math

import pytest
import torch

from ostinato.nn import Layout, PositionEmbedding


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
