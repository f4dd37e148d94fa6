"""The kernel's linear recurrences in each instruction set, against the step loop in float64, and their invariances."""

import copy
import math

import pytest
import torch
from cases import assert_same_bits, relative_error
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.nn import Layout, RecurrentLayer, kernel, use_engine

if not kernel.is_built():
    pytest.skip("the kernel was not compiled", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("variant")

SCANS = ["mingru", "minlstm", "mingru_signed", "minlstm_signed", "rglru", "lru"]
LENGTHS = (7, 1, 130, 0, 64, 65, 29)
TOLERANCE = {"lru": 5e-5}  # after many steps: rounding λ to float32 moves its powers


def run(layer, x, lengths, engine):
    """Outputs, and the gradients of the input and all parameters for one fixed gradient of the outputs."""
    layer.zero_grad()
    x = x.clone().requires_grad_()
    with use_engine(engine):
        y = layer(x, Layout(torch.tensor(lengths)))
    weight = torch.linspace(-1, 2, max(y.numel(), 1), dtype=y.dtype)[: y.numel()].view_as(y)
    (y * weight).sum().backward()
    return [y.detach(), x.grad, *(parameter.grad.clone() for parameter in layer.parameters())]


def _coarse(values):
    """Multiples of 1/64: float32 sums their products exactly, so rounding cannot cross the kink of g at 0."""
    return (64 * values).round() / 64


def assert_agrees(cell, input_size, hidden_size, bidirectional, lengths, scale=1.0, tolerance=5e-6):
    layer = RecurrentLayer(input_size, hidden_size, cell=cell, bidirectional=bidirectional)
    x = _coarse(scale * torch.randn(sum(lengths), input_size))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(_coarse(parameter))
    exact = run(copy.deepcopy(layer).double(), x.double(), lengths, "reference")
    names = ["y", "x", *(name for name, _ in layer.named_parameters())]
    for name, ours, right in zip(names, run(layer, x, lengths, "native"), exact, strict=True):
        assert ours.shape == right.shape
        # the gradient of a weight of one unit is a single sum over all steps, which may nearly cancel
        limit = 100 * tolerance if name.startswith(("decay", "nu_log", "theta_log", "gamma_log")) else tolerance
        assert relative_error([ours], [right]) <= limit, name


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(SCANS),
    st.integers(1, 40),
    st.integers(1, 140),
    st.booleans(),
    st.lists(st.integers(0, 70), min_size=1, max_size=6).filter(any),
)
def test_outputs_and_gradients_agree_with_float64(cell, input_size, hidden_size, bidirectional, lengths):
    assert_agrees(cell, input_size, hidden_size, bidirectional, lengths)


@pytest.mark.parametrize("cell", SCANS)
def test_a_long_sequence_agrees(cell):
    assert_agrees(cell, 3, 5, True, [1_000], tolerance=TOLERANCE.get(cell, 5e-6))


@pytest.mark.parametrize("scale", [60.0, 1000.0])
@pytest.mark.parametrize("cell", SCANS)
def test_large_sums_agree(cell, scale):
    assert_agrees(cell, 4, 6, False, [90, 40], scale=scale)  # above 88, where e^x overflows float32


def test_minlstm_gates_sum_to_one_when_both_sigmoids_underflow():
    # σ(f) and σ(i) equal e^f and e^i there, so f' = e^(f − i) / (1 + e^(f − i)) = 3/4; g(0) = 1/2 and g(1) = 3/2
    layer = RecurrentLayer(1, 1, cell="minlstm", engine="native")
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.tensor([[0.0], [0.0], [1.0]]))
        layer.bias_ih_l0.copy_(torch.tensor([math.log(3.0) - 200, -200.0, 0.0]))
    h = layer(torch.tensor([[0.0], [1.0]]), Layout(torch.tensor([2])))
    assert h.flatten().tolist() == pytest.approx(
        [0.125, 0.75 * 0.125 + 0.25 * 1.5], rel=1e-4
    )  # float32 holds ln 3 − 200 to 1e-5


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("cell", SCANS)
def test_a_nan_or_infinity_stays_in_its_sequence(cell, value):
    layer, x = RecurrentLayer(5, 20, cell=cell, bidirectional=True), torch.randn(sum(LENGTHS), 5)
    whole = run(layer, x, LENGTHS, "native")
    x[20] = value  # of the third sequence, which has the steps 8 to 137
    broken = run(layer, x, LENGTHS, "native")
    for part in (slice(0, 8), slice(138, None)):
        assert_same_bits([each[part] for each in broken[:2]], [each[part] for each in whole[:2]])


@pytest.mark.parametrize("cell", SCANS)
def test_bits_do_not_depend_on_threads(cell, threads):
    layer, x = RecurrentLayer(64, 70, cell=cell, bidirectional=True), torch.randn(sum(LENGTHS), 64)
    found = []
    for number in (1, 2, 3):
        threads(number)
        found.append(run(layer, x, LENGTHS, "native"))
    for other in found[1:]:
        for mine, yours in zip(found[0], other, strict=True):
            assert_same_bits([mine], [yours])


@pytest.mark.parametrize("cell", SCANS)
def test_bits_of_a_sequence_do_not_depend_on_its_batch(cell):
    layer, x = RecurrentLayer(12, 33, cell=cell, bidirectional=True, engine="native"), torch.randn(sum(LENGTHS), 12)
    with torch.inference_mode():
        together = layer(x, Layout(torch.tensor(LENGTHS))).split(LENGTHS)
        for sequence, expected in zip(x.split(LENGTHS), together, strict=True):
            assert_same_bits([layer(sequence, Layout(torch.tensor([len(sequence)])))], [expected])


@pytest.mark.parametrize("cell", SCANS)
def test_training_and_inference_give_the_same_bits(cell):
    layer, x, layout = (
        RecurrentLayer(5, 20, cell=cell, engine="native"),
        torch.randn(sum(LENGTHS), 5),
        Layout(torch.tensor(LENGTHS)),
    )
    with torch.inference_mode():
        expected = layer(x, layout)
    assert_same_bits([layer(x, layout).detach()], [expected])


@pytest.mark.parametrize("cell", SCANS)
def test_a_second_backward_of_a_retained_graph_gives_the_same_gradients(cell):
    layer, x = RecurrentLayer(5, 20, cell=cell, engine="native"), torch.randn(sum(LENGTHS), 5, requires_grad=True)
    loss = layer(x, Layout(torch.tensor(LENGTHS))).square().sum()
    first, second = (torch.autograd.grad(loss, [x, *layer.parameters()], retain_graph=True) for _ in range(2))
    for mine, yours in zip(first, second, strict=True):
        assert_same_bits([mine], [yours])


def test_frozen_weights_and_inputs_get_no_gradient():
    layer, x = RecurrentLayer(5, 20, cell="mingru", engine="native"), torch.randn(4, 5)
    layer.weight_ih_l0.requires_grad_(False)
    layer(x, Layout(torch.tensor([4]))).sum().backward()
    assert layer.weight_ih_l0.grad is None
    assert layer.bias_ih_l0.grad is not None


@pytest.mark.parametrize("upstream_knows_the_input", [False, True])
@pytest.mark.parametrize("cell", SCANS)
def test_a_second_derivative_is_refused(cell, upstream_knows_the_input):
    layer, x = RecurrentLayer(3, 4, cell=cell, engine="native"), torch.randn(5, 3, requires_grad=True)
    y = layer(x, Layout(torch.tensor([5])))
    (gradient,) = torch.autograd.grad((y * y if upstream_knows_the_input else y).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="second derivative"):
        (gradient.square().sum() + y.sum()).backward()  # a penalty on the gradient beside an ordinary loss


def test_strided_inputs_equal_contiguous_ones():
    layer, x = RecurrentLayer(5, 20, cell="minlstm", engine="native"), torch.randn(5, 9).T
    layout = Layout(torch.tensor([4, 5]))
    assert_same_bits([layer(x, layout)], [layer(x.contiguous(), layout)])


def test_lengths_that_do_not_add_up_are_refused():
    weights = [torch.randn(8, 3), torch.randn(8)]
    for lengths in ([3, 3], [6, -1]):
        with pytest.raises(ValueError, match="lengths"):
            kernel.scan("mingru", torch.randn(5, 3), torch.tensor(lengths), weights)
