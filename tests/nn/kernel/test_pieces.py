"""Sequences in pieces: in each instruction set, the state of the kernel continues them to the last bit."""

import pytest
import torch
from cases import assert_same_bits, relative_error

from ostinato.nn import AttentionPooling, Layout, RecurrentLayer, kernel

if not kernel.is_built():
    pytest.skip("the kernel was not compiled", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("variant")

PIECES = (1, 2, 64, 0, 1, 70)


@pytest.mark.parametrize("size", [1, 5, 16, 67])
def test_attention_in_pieces_has_the_bits_of_the_whole_and_agrees_with_float64(size):
    pooling, h = AttentionPooling(size), torch.randn(2 * sum(PIECES), size)
    pooling.score.weight.data *= 30  # the largest score moves often
    weights = (pooling.project.weight, pooling.project.bias, pooling.score.weight)
    with torch.inference_mode():
        running = pooling.start(h).repeat(2, 1)
        for piece in zip(*(part.split(PIECES) for part in h.chunk(2)), strict=True):
            lengths = torch.tensor([len(each) for each in piece])
            out = kernel.attend(torch.cat(piece), lengths, *weights, running)
        assert_same_bits([out], [pooling(h, Layout(torch.tensor([sum(PIECES)] * 2)))])
        exact = pooling.double()(h.double(), Layout(torch.tensor([sum(PIECES)] * 2)))
    assert relative_error([out], [exact]) <= 5e-6


@pytest.mark.parametrize("size", [1, 5, 16, 67, 130])
@pytest.mark.parametrize("cell", ["mingru", "minlstm", "mingru_signed", "minlstm_signed", "rglru", "lru"])
def test_a_scan_continues_from_a_state_in_both_directions(cell, size):
    layer, x = RecurrentLayer(3, size, cell=cell, bidirectional=True), torch.randn(2 * sum(PIECES), 3)
    weights = [weight for side in layer.directions() for weight in side]
    numbers = 2 * size if cell == "lru" else size  # of a direction's state
    forwards = torch.zeros(2, 2, numbers)  # (directions, B, S·H)
    pieces = []
    with torch.inference_mode():
        whole = layer(x, Layout(torch.tensor([sum(PIECES)] * 2)))
        for piece in zip(*(part.split(PIECES) for part in x.chunk(2)), strict=True):
            if not len(piece[0]):
                continue
            lengths = torch.tensor([len(each) for each in piece])
            h, states = kernel.scan_from(cell, torch.cat(piece), lengths, weights, forwards)
            pieces.append(h.view(2, -1, 2 * size))
            forwards[0] = states.view(2, -1, 2 * numbers)[:, -1, :numbers]
        assert_same_bits([torch.cat(pieces, 1)[:, :, :size]], [whole.view(2, -1, 2 * size)[:, :, :size]])
        last = x.view(2, -1, 3)[:, -1:].reshape(2, 3)  # the reverse direction starts from its state at the last step
        states = torch.randn(2, 2, numbers)
        h, _ = kernel.scan_from(cell, last, torch.tensor([1, 1]), weights, states)
        for direction, side in enumerate(layer.directions()):
            state = states[direction].chunk(numbers // size, dim=1)
            before = (state[0], *state) if cell == "lru" else state  # the output before is not read
            expected, *_ = layer.cell.step(last, before, side)
            assert relative_error([h.chunk(2, 1)[direction]], [expected]) <= 5e-6
