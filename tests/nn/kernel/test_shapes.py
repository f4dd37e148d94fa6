"""Weights that a user replaced: the kernel would read past their end."""

import pytest
import torch
from torch import nn

from ostinato.errors import ConfigError
from ostinato.nn import Layout, RecurrentStack, kernel
from ostinato.nn.crf import LinearChainCRF
from ostinato.nn.pooling import AttentionPooling

if not kernel.is_built():
    pytest.skip("the kernel was not compiled", allow_module_level=True)

LENGTHS = torch.tensor([3, 4])
STACKS = ("rnn_tanh", "gru", "lstm", "lnlstm", "slstm", "mingru", "minlstm", "rglru", "lru")


def stack(cell):
    return RecurrentStack(5, 6, cell=cell, num_layers=2, bidirectional=cell not in ("rglru", "lru"))


MODULES = {
    **{cell: lambda cell=cell: (stack(cell), lambda s: s(torch.randn(7, 5), Layout(LENGTHS))) for cell in STACKS},
    "attention": lambda: (AttentionPooling(6), lambda pool: pool(torch.randn(7, 6), Layout(LENGTHS))),
    "crf": lambda: (LinearChainCRF(4), lambda crf: crf.decode(torch.randn(7, 4), Layout(LENGTHS))),
}
WEIGHTS = [(module, name) for module, make in MODULES.items() for name, _ in make()[0].named_parameters()]


@pytest.mark.parametrize("with_gradients", [True, False])
@pytest.mark.parametrize(("module", "name"), WEIGHTS)
def test_a_weight_of_another_shape_is_refused(module, name, with_gradients):
    net, run = MODULES[module]()
    run(net)
    owner, _, attribute = name.rpartition(".")
    setattr(net.get_submodule(owner), attribute, nn.Parameter(torch.zeros(1, 1)))
    kind = attribute.partition("_l0")[0]  # the kernel counts the layers of a stack
    with (
        torch.set_grad_enabled(with_gradients),
        pytest.raises(ConfigError, match=rf"{kind}.* \(1, 1\)\. Expected"),
    ):
        run(net)


@pytest.mark.parametrize("cell", STACKS)
def test_values_of_another_width_are_refused(cell):
    with pytest.raises(ConfigError, match="weight_ih_l0"):
        stack(cell)(torch.randn(7, 4), Layout(LENGTHS))


@pytest.mark.parametrize(("module", "name"), [("attention", "score.weight"), ("crf", "start"), ("crf", "end")])
def test_a_weight_of_another_dtype_is_refused(module, name):
    net, run = MODULES[module]()
    owner, _, attribute = name.rpartition(".")
    part = net.get_submodule(owner)
    setattr(part, attribute, nn.Parameter(getattr(part, attribute).detach().double()))
    with pytest.raises(ConfigError, match=rf"{attribute} is float64.*Expected float32"):
        run(net)


def test_products_check_what_they_read():
    with pytest.raises(ConfigError, match="weight"):
        kernel.linear(torch.zeros(2, 3), torch.zeros(4, 5), None)
    with pytest.raises(ConfigError, match="bias"):
        kernel.linear(torch.zeros(2, 3), torch.zeros(4, 3), torch.zeros(3))
