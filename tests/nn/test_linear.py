"""The linear layer equals torch.nn's, and sums each row by itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ostinato.nn import Linear, use_engine


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(0, 210),
    size=st.integers(1, 150),
    out=st.integers(1, 90),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_linear_equals_torch_nn_and_rows_do_not_depend_on_each_other(rows, size, out, bias, seed):
    torch.manual_seed(seed)
    layer, peer = Linear(size, out, bias=bias), nn.Linear(size, out, bias=bias).double()
    peer.load_state_dict(layer.state_dict())
    values = torch.randn(rows, size)
    with torch.inference_mode():
        outputs = layer(values)
        torch.testing.assert_close(outputs.double(), peer(values.double()), rtol=1e-4, atol=1e-5)
        for row in range(0, rows, 7):
            assert torch.equal(layer(values[row : row + 1]), outputs[row : row + 1])


def test_gradients_are_those_of_torch_nn():
    layer, values = Linear(5, 3), torch.randn(7, 5, requires_grad=True)
    layer(values).sum().backward()
    torch.testing.assert_close(values.grad, layer.weight.sum(0).expand(7, 5))


@pytest.mark.parametrize("layer", [Linear(5, 3).double(), Linear(5, 3)], ids=["float64", "torch engine"])
def test_calls_that_the_kernel_cannot_run_go_to_torch(layer):
    values = torch.randn(7, 5, dtype=layer.weight.dtype)
    with torch.no_grad(), use_engine("torch"):
        assert torch.equal(layer(values), nn.functional.linear(values, layer.weight, layer.bias))
