"""Convolutions on ragged batches equal conv1d on each sequence, and nothing leaks between sequences."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from ostinato.errors import ConfigError
from ostinato.nn import Convolution, ConvolutionStack, ConvStem, Layout, convolution, use_engine

LENGTHS = [7, 0, 1, 30, 2, 12]


def by_conv1d(layer, sequence):
    """One sequence by itself, padded where its windows reach over its ends. (T, D) -> (T, H)."""
    reach = layer.kernel_size - 1
    sides = (reach // 2, reach // 2) if layer.centred else (reach, 0)
    return F.conv1d(F.pad(sequence.T.unsqueeze(0), sides), layer.weight, layer.bias).squeeze(0).T.relu()


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 20), max_size=6),
    kernel_size=st.sampled_from([1, 2, 3, 4, 5, 9]),
    centred=st.booleans(),
    sizes=st.tuples(st.integers(1, 7), st.integers(1, 40)),
    gradient=st.booleans(),
)
def test_convolution_equals_conv1d_of_each_sequence_forward_and_backward(
    lengths, kernel_size, centred, sizes, gradient
):
    layer = Convolution(*sizes, kernel_size=kernel_size, centred=centred and kernel_size % 2 == 1)
    nn.init.normal_(layer.bias)
    values = torch.randn(sum(lengths), sizes[0], requires_grad=gradient)
    theirs = values.detach().clone().requires_grad_(gradient)
    with torch.set_grad_enabled(gradient):
        outputs = layer(values, Layout(torch.tensor(lengths, dtype=torch.int64)))
        expected = torch.cat(
            [outputs.new_empty(0, sizes[1]), *(by_conv1d(layer, each) for each in theirs.split(lengths) if len(each))]
        )
    torch.testing.assert_close(outputs, expected, rtol=1e-4, atol=1e-5)
    if gradient and sum(lengths):
        weight = torch.randn_like(expected)
        ours = torch.autograd.grad((outputs * weight).sum(), [values, layer.weight, layer.bias])
        for one, other in zip(
            ours, torch.autograd.grad((expected * weight).sum(), [theirs, layer.weight, layer.bias]), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_windows_equal_sums_worked_out_by_hand():
    layer = Convolution(1, 1, kernel_size=3, centred=True)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[[1.0, 10.0, 100.0]]]))  # the step before, the step, the step after
        layer.bias.fill_(-100.0)
    values = torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]])
    assert layer(values, Layout(torch.tensor([3, 2]))).flatten().tolist() == [110.0, 221.0, 0.0, 440.0, 0.0]
    layer.centred = False  # two steps before, one before, the step
    assert layer(values, Layout(torch.tensor([3, 2]))).flatten().tolist() == [0.0, 110.0, 221.0, 300.0, 440.0]


@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize(("centred", "kernel_size"), [(True, 5), (False, 4)])
def test_nothing_leaks_between_sequences(centred, kernel_size, gradient):
    layer = Convolution(3, 4, kernel_size=kernel_size, centred=centred)
    values = torch.randn(9, 3)
    values[3:5] = torch.nan
    values.requires_grad_(gradient)
    with torch.set_grad_enabled(gradient):
        h = layer(values, Layout(torch.tensor([3, 2, 4])))
    assert torch.isfinite(h[:3]).all() and torch.isfinite(h[5:]).all() and h[3:5].isnan().all()
    if gradient:
        (dx,) = torch.autograd.grad(h[:3].sum() + h[5:].sum(), values)
        assert not dx[3:5].any()


def test_a_step_sees_nothing_later_unless_windows_are_centred():
    layout = Layout(torch.tensor([12]))
    for centred, seen in ((False, range(2, 7)), (True, range(4, 9))):
        layer = Convolution(2, 16, kernel_size=5, centred=centred)
        values = torch.randn(12, 2, requires_grad=True)
        (dx,) = torch.autograd.grad(layer(values, layout)[6].sum(), values)
        assert dx.any(dim=1).nonzero().flatten().tolist() == list(seen)


@pytest.mark.parametrize(("centred", "kernel_size"), [(True, 3), (False, 4), (True, 1)])
def test_gradcheck(centred, kernel_size):
    stack = ConvolutionStack(2, 3, kernel_size=kernel_size, centred=centred, num_layers=2, residual=True).double()
    for layer in stack.layers:
        nn.init.normal_(layer.bias)  # with zero biases, empty windows would lie on the kink of relu
    layout = Layout(torch.tensor([3, 0, 6, 1]))
    values = torch.randn(10, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: stack(x, layout), (values, *stack.parameters()))
    assert torch.autograd.gradgradcheck(lambda x: stack(x, layout), values)


def test_inference_has_the_same_bits_in_any_batch(monkeypatch):
    stack = ConvolutionStack(6, 70, kernel_size=5, centred=True, num_layers=2, layer_norm=True)
    values = torch.randn(sum(LENGTHS), 6)
    with torch.inference_mode():
        together = stack(values, Layout(torch.tensor(LENGTHS)))
        for sequence, expected in zip(values.split(LENGTHS), together.split(LENGTHS), strict=True):
            assert torch.equal(stack(sequence, Layout(torch.tensor([len(sequence)]))), expected)
        monkeypatch.setattr(convolution, "WINDOW_VALUES_AT_A_TIME", 100)  # a few windows at a time
        assert torch.equal(stack(values, Layout(torch.tensor(LENGTHS))), together)


def test_inference_equals_training_up_to_rounding():
    layer, layout = Convolution(6, 9, kernel_size=4, centred=False), Layout(torch.tensor(LENGTHS))
    values = torch.randn(sum(LENGTHS), 6)
    expected = layer(values, layout)
    with torch.no_grad():
        torch.testing.assert_close(layer(values, layout), expected)
        with use_engine("torch"):
            assert torch.equal(layer(values, layout), expected)


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
@pytest.mark.parametrize("gradient", [True, False])
def test_batches_without_steps_are_accepted(lengths, gradient):
    stem = ConvStem(3, 4, kernel_size=5, centred=False, pool=2)
    with torch.set_grad_enabled(gradient):
        h, steps = stem(torch.empty(0, 3), Layout(torch.tensor(lengths, dtype=torch.int64)))
    assert h.shape == (0, 4) and steps.lengths.tolist() == lengths
    if gradient:
        h.sum().backward()
        assert not stem.convolution.weight.grad.any()


def test_initial_weights_preserve_the_variance_through_relu():
    layer = Convolution(64, 128, kernel_size=9, centred=True)
    assert not layer.bias.any()
    assert layer.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.01)  # of 73,728 draws


def test_residual_adds_the_input_from_the_second_layer_on():
    plain, residual = (
        ConvolutionStack(4, 8, kernel_size=3, centred=True, num_layers=2, residual=residual)
        for residual in (False, True)
    )
    residual.load_state_dict(plain.state_dict())
    values, layout = torch.randn(sum(LENGTHS), 4), Layout(torch.tensor(LENGTHS))
    first = plain.layers[0](values, layout)
    torch.testing.assert_close(residual(values, layout), plain(values, layout) + first)


def test_dropout_and_layer_norm_apply_as_in_recurrent_stacks():
    stack = ConvolutionStack(4, 8, kernel_size=3, centred=True, num_layers=2, layer_norm=True, dropout=0.5)
    values, layout = torch.randn(sum(LENGTHS), 4), Layout(torch.tensor(LENGTHS))
    assert not torch.equal(stack(values, layout), stack(values, layout))
    stack.eval()
    expected = values
    for layer in stack.layers:
        expected = F.layer_norm(layer(expected, layout), (8,))
    torch.testing.assert_close(stack(values, layout), expected)


def test_centred_windows_of_an_even_size_are_refused():
    with pytest.raises(ConfigError, match="kernel_size 4.*5"):
        Convolution(3, 4, kernel_size=4, centred=True)
    assert Convolution(3, 4, kernel_size=4, centred=False)(torch.randn(2, 3), Layout(torch.tensor([2]))).shape == (2, 4)


@pytest.mark.parametrize("pool", [1, 2, 3, 100])
def test_conv_stem_takes_the_maximum_of_every_pool_steps(pool):
    stem = ConvStem(3, 4, kernel_size=3, centred=True, pool=pool)
    layout = Layout(torch.tensor(LENGTHS))
    values = torch.randn(sum(LENGTHS), 3, requires_grad=True)
    pooled, steps = stem(values, layout)
    parts = [
        part.amax(0)
        for each in stem.convolution(values, layout).split(LENGTHS)
        if len(each)
        for part in each.split(pool)
    ]
    torch.testing.assert_close(pooled, torch.stack(parts))
    assert steps.lengths.tolist() == [-(-length // pool) for length in LENGTHS]
    weight = torch.randn_like(pooled)
    ours, theirs = (
        torch.autograd.grad((outputs * weight).sum(), values)[0] for outputs in (pooled, torch.stack(parts))
    )
    torch.testing.assert_close(ours, theirs)


def test_weights_of_pooled_steps_are_divided_evenly():
    stem, layout = ConvStem(3, 4, kernel_size=3, centred=True, pool=2), Layout(torch.tensor([5, 0, 2]))
    weights = torch.tensor([0.5, 0.25, 0.25, 1.0])  # of pooled steps that cover 2, 2 and 1 steps, and 2
    assert stem.spread(weights, layout).tolist() == [0.25, 0.25, 0.125, 0.125, 0.25, 0.5, 0.5]
    unpooled = ConvStem(3, 4, kernel_size=3, centred=True)
    assert torch.equal(unpooled.spread(torch.arange(7.0), layout), torch.arange(7.0))


@pytest.mark.gpu
@pytest.mark.parametrize("centred", [True, False])
def test_gpu_equals_cpu_forward_and_backward(centred):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    stem = ConvStem(5, 6, kernel_size=5, centred=centred, pool=2)
    values, device = torch.randn(sum(LENGTHS), 5), torch.device("cuda")
    expected, _ = stem(values, Layout(torch.tensor(LENGTHS)))
    on_gpu = values.to(device).requires_grad_()
    outputs, _ = stem.to(device)(on_gpu, Layout(torch.tensor(LENGTHS), device))
    torch.testing.assert_close(outputs.cpu(), expected, rtol=1e-3, atol=1e-3)
    outputs.sum().backward()
    assert torch.isfinite(on_gpu.grad).all()


@pytest.mark.parametrize("centred", [True, False])
def test_weights_that_meet_no_step_change_nothing_and_cost_nothing(centred, monkeypatch):
    lengths = torch.tensor([5, 1, 7])
    wide, narrow = (Convolution(3, 4, kernel_size=size, centred=centred) for size in (1001, 13))
    start = 500 - 6 if centred else 1001 - 13
    with torch.no_grad():
        narrow.weight.copy_(wide.weight[:, :, start : start + 13])
        narrow.bias.copy_(wide.bias)
    values = torch.randn(13, 3)
    for gradient in (True, False):
        with torch.set_grad_enabled(gradient):
            assert torch.equal(wide(values, Layout(lengths)), narrow(values, Layout(lengths)))
    wide(values, Layout(lengths)).sum().backward()
    reached = wide.weight.grad.abs().sum(dim=(0, 1)).nonzero().flatten()
    assert reached.min() >= start
    assert reached.max() < start + 13
