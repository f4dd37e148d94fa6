"""The recurrent cells that `torch.nn` does not have, `lnlstm` and `slstm`: in each instruction set, against the step
loop in float64, and their invariances.
"""

import copy

import pytest
import torch
from cases import assert_same_bits, relative_error

from ostinato.errors import ConfigError
from ostinato.nn import Layout, RecurrentStack, kernel, use_engine
from ostinato.nn.cells import CELLS, field_names
from ostinato.nn.reference import run_stack

if not kernel.is_built():
    pytest.skip("the kernel was not compiled", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("variant")

OWN = ("lnlstm", "slstm")

LENGTHS = (7, 1, 30, 0, 12, 3, 29, 30, 2)
TINY = torch.finfo(torch.float32).tiny


@pytest.fixture(params=OWN)
def cell(request):
    return request.param


def new_stack(cell, input_size, hidden_size, **options):
    """Parameters off their initial values, so that a confused one shows."""
    stack = RecurrentStack(input_size, hidden_size, cell=cell, **options)
    with torch.no_grad():
        for name, parameter in stack.named_parameters():
            if "weight" not in name or cell == "slstm":  # whose recurrent weights start at zero
                parameter.add_(0.3 * torch.randn_like(parameter))
    return stack


def run(stack, x, lengths, engine, ids=None, scale=1.0):
    """Outputs, and the gradients of the input and all parameters for one fixed gradient of the outputs."""
    stack.zero_grad()
    x = x.clone().requires_grad_()
    with use_engine(engine):
        layout = Layout(torch.tensor(lengths))
        y = stack(x, layout) if ids is None else stack(ids, layout, x)
    upstream = scale * torch.linspace(-1, 2, max(y.numel(), 1), dtype=y.dtype)[: y.numel()].view_as(y)
    y.backward(upstream)
    return [y.detach(), x.grad, *(parameter.grad.clone() for parameter in stack.parameters())]


def assert_agrees(stack, x, lengths, ids=None):
    """Errors are at most 5e-5, or four times those of torch's operations: a norm of few units amplifies rounding."""
    exact = run(copy.deepcopy(stack).double(), x.double(), lengths, "reference", ids)
    theirs = run(stack, x, lengths, "torch", ids)
    for ours, peer, right in zip(run(stack, x, lengths, "native", ids), theirs, exact, strict=True):
        assert ours.shape == right.shape
        assert relative_error([ours], [right]) <= max(5e-5, 4 * relative_error([peer], [right]))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("hidden_size", [7, 16, 17, 33, 70])
def test_outputs_and_gradients_agree_with_float64(cell, hidden_size, bidirectional):
    stack = new_stack(cell, 5, hidden_size, num_layers=1 + bidirectional, bidirectional=bidirectional)
    assert_agrees(stack, torch.randn(sum(LENGTHS), 5), LENGTHS)


@pytest.mark.parametrize("hidden_size", [1, 2, 3])
def test_outputs_of_few_units_agree_with_float64(cell, hidden_size):
    stack, x, layout = new_stack(cell, 5, hidden_size), torch.randn(9, 5), Layout(torch.tensor([3, 6]))
    with torch.inference_mode():
        with use_engine("native"):
            ours = stack(x, layout)
        with use_engine("reference"):
            exact = stack.double()(x.double(), layout)
    torch.testing.assert_close(ours.double(), exact, rtol=1e-4, atol=1e-5)


def test_wide_batches_agree_with_float64(cell):
    lengths = [5 * b % 4 for b in range(150)]  # several groups of rows
    assert_agrees(new_stack(cell, 3, 20), torch.randn(sum(lengths), 3), lengths)


def test_a_long_sequence_agrees_with_float64(cell):
    assert_agrees(new_stack(cell, 3, 8), torch.randn(700, 3), [600, 100])  # gains are summed in blocks of 256 steps


def test_token_ids_agree_with_their_vectors(cell):
    stack, ids = new_stack(cell, 5, 20, num_layers=2, bidirectional=True), torch.randint(9, (sum(LENGTHS),))
    assert_agrees(stack, torch.randn(9, 5), LENGTHS, ids)


def weights_and_states(cell, input_size, hidden_size, batch_size):
    """Random weights and initial states, those of the cell side by side."""
    states = torch.rand(1, batch_size, (CELLS[cell].states - 1) * hidden_size)  # n of slstm is positive
    weights = [torch.randn(shape) for shape in CELLS[cell].shapes(input_size, hidden_size).values()]
    return weights, torch.randn(1, batch_size, hidden_size), states


def test_carried_states_have_the_bits_of_the_whole(cell):
    x, (weights, *state) = torch.randn(30, 4), weights_and_states(cell, 4, 19, 1)
    spec = kernel.Spec(cell, 19, 1, False, True, "ragged", 1, 0)
    whole, *final = kernel.recurrent(spec, x, None, torch.tensor([30]), *state, weights)
    first, *between = kernel.recurrent(spec, x[:11], None, torch.tensor([11]), *state, weights)
    second, *last = kernel.recurrent(spec, x[11:], None, torch.tensor([19]), *between, weights)
    assert_same_bits([torch.cat([first, second]), *last], [whole, *final])


@pytest.mark.parametrize("order", ["ragged", "batch_first", "time_first"])
def test_states_and_their_gradients_agree_with_float64(cell, order):
    lengths = torch.tensor([4, 0, 6])
    rows, padded = (10, 0) if order == "ragged" else (18, 6)
    spec = kernel.Spec(cell, 9, 1, False, True, order, 3, padded)
    weights, h0, c0 = weights_and_states(cell, 5, 9, 3)
    h0.requires_grad_()
    c0.requires_grad_(cell == "lnlstm")
    sources = [torch.randn(rows, 5, requires_grad=True), *(weight.requires_grad_() for weight in weights), h0]
    y, h_n, c_n = kernel.recurrent(spec, sources[0], None, lengths, h0, c0, weights)
    exact = [source.detach().double().requires_grad_() for source in (*sources, c0)]
    expected_y, expected = run_stack(spec, exact[0], lengths, tuple(exact[-2:]), exact[1:-2])
    outputs = [each.detach() for each in (y, h_n, c_n, expected_y, *expected)]
    assert relative_error(outputs[:3], outputs[3:]) < 1e-6
    if cell == "lnlstm":
        sources, loss, right = [*sources, c0], y.sin().sum() + c_n.sum(), expected_y.sin().sum() + expected[1].sum()
    else:
        loss, right = y.sin().sum(), expected_y.sin().sum()
    found = torch.autograd.grad(loss + h_n.sum(), sources)
    assert relative_error(found, torch.autograd.grad(right + expected[0].sum(), exact[: len(sources)])) < 2e-5


def test_a_sequence_without_steps_keeps_its_state_and_passes_its_gradient_on(cell):
    weights, h0, c0 = weights_and_states(cell, 3, 4, 2)
    spec = kernel.Spec(cell, 4, 1, False, True, "ragged", 2, 0)
    states = [h0.requires_grad_(), c0.requires_grad_()] if cell == "lnlstm" else [h0.requires_grad_()]
    _, h_n, c_n = kernel.recurrent(spec, torch.randn(5, 3), None, torch.tensor([0, 5]), h0, c0, weights)
    assert_same_bits([h_n[:, 0], c_n[:, 0]], [h0[:, 0], c0[:, 0]])
    finals = [h_n, c_n][: len(states)]
    for gradient in torch.autograd.grad(sum(final[:, 0].sum() for final in finals) * 3, states):
        assert gradient[:, 0].eq(3).all() and not gradient[:, 1].any()


def test_the_cell_states_of_slstm_have_no_gradient():
    weights, h0, c0 = weights_and_states("slstm", 3, 4, 1)
    spec = kernel.Spec("slstm", 4, 1, False, True, "ragged", 1, 0)
    x = torch.randn(5, 3, requires_grad=True)
    y, _, c_n = kernel.recurrent(spec, x, None, torch.tensor([5]), h0, c0.requires_grad_(), weights)
    assert not c_n.requires_grad
    with pytest.raises(ConfigError, match="Detach"):
        y.sum().backward()


# ---- bit-identical results -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [(170,), (60, 0, 90)])
def test_a_team_computes_the_bits_of_one_thread(cell, lengths, threads):
    """Fewer sequences than threads, so that threads divide the units."""
    stack, x = new_stack(cell, 24, 230), torch.randn(sum(lengths), 24)
    found = []
    for number in (1, 2, 5):
        threads(number)
        with torch.no_grad():
            found.append(stack(x, Layout(torch.tensor(lengths))))
        found.append(stack(x, Layout(torch.tensor(lengths))).detach())
    for y in found[1:]:
        assert torch.equal(y, found[0])


def test_bits_do_not_depend_on_threads(cell, threads):
    stack, x = new_stack(cell, 64, 70, num_layers=2, bidirectional=True), torch.randn(sum(LENGTHS), 64)
    found = []
    for number in (1, 2, 3):
        threads(number)
        found.append(run(stack, x, LENGTHS, "native"))
    for other in found[1:]:
        assert_same_bits(other, found[0])


def test_bits_of_a_sequence_do_not_depend_on_its_batch(cell):
    stack, x = new_stack(cell, 12, 33, bidirectional=True, engine="native"), torch.randn(sum(LENGTHS), 12)
    with torch.inference_mode():
        together = stack(x, Layout(torch.tensor(LENGTHS))).split(LENGTHS)
        for sequence, expected in zip(x.split(LENGTHS), together, strict=True):
            assert_same_bits([stack(sequence, Layout(torch.tensor([len(sequence)])))], [expected])


def test_training_and_inference_give_the_same_bits(cell):
    stack, x = new_stack(cell, 5, 20, engine="native"), torch.randn(sum(LENGTHS), 5)
    layout = Layout(torch.tensor(LENGTHS))
    with torch.inference_mode():
        expected = stack(x, layout)
    assert_same_bits([stack(x, layout).detach()], [expected])


# ---- extreme values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_nan_or_infinity_stays_in_its_sequence(cell, value):
    stack, x = new_stack(cell, 5, 20, bidirectional=True), torch.randn(sum(LENGTHS), 5)
    whole = run(stack, x, LENGTHS, "native")
    x[20] = value  # of the third sequence, which has the steps 8 to 37
    broken = run(stack, x, LENGTHS, "native")
    assert broken[0][20].isnan().all()
    for part in (slice(0, 8), slice(38, None)):
        assert_same_bits([each[part] for each in broken[:2]], [each[part] for each in whole[:2]])


def test_exponential_gates_far_apart_agree_with_float64():
    stack = new_stack("slstm", 5, 20)
    with torch.no_grad():
        stack.layers[0].weight_ih_l0.mul_(300)  # sums of some hundreds, whose powers overflow
    x, layout = torch.randn(sum(LENGTHS), 5), Layout(torch.tensor(LENGTHS))
    with torch.no_grad():
        with use_engine("native"):
            ours = stack(x, layout)
        with use_engine("reference"):
            exact = stack.double()(x.double(), layout)
    torch.testing.assert_close(ours.double(), exact, rtol=1e-3, atol=1e-4)


def test_vanishing_gradients_hold_no_denormals(cell):
    stack, x = new_stack(cell, 5, 20), torch.randn(sum(LENGTHS), 5)
    gradients = run(stack, x, LENGTHS, "native", scale=1e-37)[1:]
    assert any(gradient.any() for gradient in gradients)
    for gradient in gradients:
        assert not ((gradient != 0) & (gradient.abs() < TINY)).any()


# ---- autograd --------------------------------------------------------------------------------------------------------


def test_a_second_backward_of_a_retained_graph_gives_the_same_gradients(cell):
    stack, x = new_stack(cell, 5, 20, engine="native"), torch.randn(sum(LENGTHS), 5, requires_grad=True)
    loss = stack(x, Layout(torch.tensor(LENGTHS))).square().sum()
    first, second = (torch.autograd.grad(loss, [x, *stack.parameters()], retain_graph=True) for _ in range(2))
    assert_same_bits(second, first)


@pytest.mark.parametrize(
    ("cell", "frozen"), [(cell, k) for cell in OWN for k in range(len(field_names(CELLS[cell].weights)))]
)
def test_frozen_weights_get_no_gradient_and_do_not_change_the_others(cell, frozen):
    stack, x = new_stack(cell, 5, 20, engine="native"), torch.randn(sum(LENGTHS), 5)
    expected = run(stack, x, LENGTHS, "native")[2:]
    parameters = list(stack.parameters())
    parameters[frozen].requires_grad_(False)
    stack.zero_grad()
    y = stack(x, Layout(torch.tensor(LENGTHS)))
    y.backward(torch.linspace(-1, 2, y.numel()).view_as(y))
    assert parameters[frozen].grad is None
    for k, parameter in enumerate(parameters):
        if k != frozen:
            assert_same_bits([parameter.grad], [expected[k]])


def test_a_second_derivative_is_that_of_the_reference(cell):
    stack, lengths = new_stack(cell, 3, 9, bidirectional=True), [4, 2]
    x = torch.randn(6, 3)

    def penalised(stack, x, engine):
        x = x.clone().requires_grad_()
        with use_engine(engine):
            y = stack(x, Layout(torch.tensor(lengths)))
            (gradient,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
            return torch.autograd.grad(gradient.square().sum() + y.sum(), [x, *stack.parameters()])

    exact = penalised(copy.deepcopy(stack).double(), x.double(), "reference")
    assert relative_error(penalised(stack, x, "native"), exact) < 1e-4


def test_the_operators_check_their_weights(cell):
    spec = kernel.Spec(cell, 4, 1, False, True, "ragged", 1, 0)
    weights, *_ = weights_and_states(cell, 3, 4, 1)
    arguments = (torch.randn(5, 3), None, torch.tensor([5]), None, None)
    y, _, c_n, _ = torch.ops.ostinato.recurrent(*arguments, weights, *spec, 0, 0)
    expected = kernel.recurrent(spec, *arguments, weights)
    assert_same_bits([y, c_n], [expected[0], expected[2]])
    with pytest.raises(Exception, match=f"Expected {len(weights)}"):
        torch.ops.ostinato.recurrent(*arguments, weights[:2], *spec, 0, 0)
    with pytest.raises(Exception, match="bias=True"):
        torch.ops.ostinato.recurrent(*arguments, weights, *spec._replace(bias=False), 0, 0)
