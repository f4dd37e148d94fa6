"""The softmax loss in the kernel, in each instruction set, against PyTorch in float64."""

import pytest
import torch
from cases import assert_same_bits, relative_error

from ostinato.nn import kernel
from ostinato.nn.sampled_softmax import softmax_of_blocks

if not kernel.is_built():
    pytest.skip("the kernel was not compiled", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("variant")

V = 50


def draw(n, E, S, scale=1.0):
    """The arguments of `kernel.softmax`; every second row leaves a candidate out."""
    floats = [torch.randn(shape) for shape in ((n, E), (S, E), (S,), (V, E), (V,))]
    left_out = torch.randint(S, (n,))
    left_out[::2] = -1
    return [floats[0] * scale, *floats[1:], torch.randint(V, (n,)), left_out]


def in_double(inputs):
    return [each.double() if each.is_floating_point() else each for each in inputs]


@pytest.mark.parametrize(
    ("n", "E", "S"), [(0, 3, 5), (1, 1, 1), (7, 5, 33), (97, 16, 32), (200, 70, 100), (900, 4, 5000)]
)
def test_losses_and_gradients_agree_with_float64(n, E, S):
    inputs = draw(n, E, S)
    found, exact = kernel.softmax(*inputs), softmax_of_blocks(*in_double(inputs))
    for ours, right in zip(found, exact, strict=True):
        assert ours.shape == right.shape
        assert relative_error([ours], [right]) < 5e-6


def test_logits_of_very_different_size_agree_with_float64():
    inputs = draw(60, 8, 40, scale=30.0)  # logits of hundreds, whose rounding errors are some 1e-5
    for ours, right in zip(kernel.softmax(*inputs), softmax_of_blocks(*in_double(inputs)), strict=True):
        assert relative_error([ours], [right]) < 5e-5


def test_negative_views_and_strided_inputs_are_read_by_value():
    inputs = draw(7, 5, 33)
    views = [torch._neg_view(-each) if each.is_floating_point() else each for each in inputs]
    views[0] = inputs[0].t().contiguous().t()
    for ours, same in zip(kernel.softmax(*views), kernel.softmax(*inputs), strict=True):
        assert torch.equal(ours, same)


def test_a_row_without_another_candidate_has_no_loss_and_no_gradient():
    inputs = [*draw(1, 4, 1)[:-1], torch.zeros(1, dtype=torch.int64)]
    for found in kernel.softmax(*inputs):
        assert torch.equal(found, torch.zeros_like(found))


@pytest.mark.parametrize("n", [150, 2500])  # of 2,500 rows, the softmaxes of 1,000 candidates come in two chunks
def test_number_of_threads_changes_no_bit(n, threads):
    inputs = draw(n, 24, 1000)
    threads(1)
    expected = kernel.softmax(*inputs)
    for count in (2, 3):
        threads(count)
        assert_same_bits(kernel.softmax(*inputs), expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_nan_or_infinity_gives_a_loss_of_nan_in_its_row_alone(value):
    inputs = draw(120, 6, 40)
    expected = kernel.softmax(*inputs)
    inputs[0][5, 2] = value
    found = kernel.softmax(*inputs)
    others = torch.arange(120) != 5
    assert found.losses[5].isnan()
    assert torch.equal(found.losses[others], expected.losses[others])
    assert torch.equal(found.vectors[others], expected.vectors[others])


@pytest.mark.parametrize("position", [-2, -1])
@pytest.mark.parametrize("wrong", [V, 40])
def test_targets_and_candidates_out_of_range_are_refused(position, wrong):
    inputs = draw(3, 4, 40)
    if position == -2 and wrong < V:
        wrong = -1
    inputs[position][1] = wrong
    with pytest.raises(IndexError):
        kernel.softmax(*inputs)
