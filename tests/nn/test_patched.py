"""patched: modules made inside a block are ours, and the names are torch's again after it."""

import pytest
import torch
from torch import nn

from ostinato import nn as ours

NAMES = ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")


def names():
    return [getattr(place, name) for place in (nn, nn.modules, nn.modules.rnn) for name in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_modules_made_inside_are_ours_and_equal_torch_nns(name):
    torch.manual_seed(0)
    peer = getattr(nn, name)(3, 4)
    torch.manual_seed(0)
    with ours.patched():
        module = getattr(torch.nn, name)(3, 4)
    assert type(module) is getattr(ours, name)
    x = torch.randn(5, 3)
    mine, theirs = module(x), peer(x)
    torch.testing.assert_close(mine, theirs)
    assert type(peer) is getattr(nn, name)


def test_subclasses_made_inside_inherit_from_ours():
    with ours.patched():

        class Encoder(nn.LSTM):
            pass

    assert issubclass(Encoder, ours.LSTM)
    assert Encoder(3, 4)(torch.randn(5, 3))[0].shape == (5, 4)


def test_names_are_restored_after_nested_blocks_and_exceptions():
    before = names()
    with ours.patched():
        with ours.patched():
            pass
        assert nn.LSTM is ours.LSTM
        with pytest.raises(KeyError), ours.patched():
            raise KeyError("inside")
        assert nn.GRU is ours.GRU
    assert names() == before
    assert nn.LSTM is not ours.LSTM


def test_accelerate_inside_treats_modules_as_outside():
    plain = nn.GRU(3, 4)
    with ours.patched():
        report = ours.accelerate(nn.ModuleList([plain, nn.GRU(3, 4)]))
    assert [layer.is_swapped for layer in report.layers] == [True, False]
    assert type(plain) is ours.GRU
