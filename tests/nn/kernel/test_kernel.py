"""The kernel in each instruction set, against torch.nn in float64, and its invariances."""

import math
import os
from dataclasses import replace

import pytest
import torch
from cases import (
    GATES,
    PEERS,
    WIDE,
    Case,
    assert_same_bits,
    cases,
    draw,
    forward,
    native,
    peer,
    peer_of,
    relative_error,
)
from hypothesis import given, settings

from ostinato.nn import kernel

if not kernel.is_built():
    pytest.skip("the kernel was not compiled", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("variant")

LENGTHS = (7, 1, 30, 0, 12, 3, 29, 30, 2)
TINY = torch.finfo(torch.float32).tiny


# ---- against torch.nn ------------------------------------------------------------------------------------------------


def assert_agrees(case, inputs=None):
    """The errors of outputs, and of all gradients together, are at most 5e-5, and twice that of torch.nn in float32.

    Errors are relative to the norm; twice torch.nn's may be exceeded by a few rounding errors.
    """
    exact, theirs = (
        peer_of(case, dtype) if inputs is None else peer(case, inputs, dtype)
        for dtype in (torch.float64, torch.float32)
    )
    ours = native(case, draw(case) if inputs is None else inputs)
    for part in (slice(0, len(exact.outputs)), slice(len(exact.outputs), None)):
        bound = 2 * relative_error(theirs.tensors[part], exact.tensors[part]) + 16 * torch.finfo(torch.float32).eps
        assert relative_error(ours.tensors[part], exact.tensors[part]) <= min(bound, 5e-5)
    for mine, right in zip(
        ours.gradients, exact.gradients, strict=True
    ):  # a small gradient is not hidden by larger ones
        assert relative_error([mine], [right]) <= 5e-5


@settings(max_examples=25, deadline=None)
@given(cases())
def test_outputs_and_gradients_agree_with_float64(case):
    assert_agrees(case)


@pytest.mark.parametrize("cell", GATES)
def test_gradient_errors_are_at_most_twice_those_of_torch_nn(cell):
    ours, theirs = [], []
    for seed in range(12):
        case = Case(
            cell,
            3 + seed,
            50 - 4 * seed,
            1 + seed % 3,
            seed % 2 == 0,
            lengths=(12, 3, 1 + seed),
            states=seed % 4 < 2,
            seed=seed,
        )
        exact = peer_of(case, torch.float64).gradients
        ours.append(relative_error(native(case, draw(case)).gradients, exact))
        theirs.append(relative_error(peer_of(case, torch.float32).gradients, exact))
    assert math.hypot(*ours) <= 2 * math.hypot(*theirs)


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("hidden_size", [1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 33, 47, 64, 65, 130, 257])
def test_any_hidden_size_agrees_with_float64(cell, hidden_size):
    assert_agrees(Case(cell=cell, hidden_size=hidden_size, bidirectional=True, lengths=(3, 1, 4), states=True))


@pytest.mark.parametrize("cell", GATES)
def test_hidden_size_1024_agrees_with_float64(cell):
    assert_agrees(Case(cell=cell, input_size=3, hidden_size=1024, lengths=(2, 1), states=True))


@pytest.mark.parametrize("cell", GATES)
def test_wide_batches_agree_with_float64(cell):
    assert_agrees(
        Case(cell=cell, hidden_size=20, lengths=tuple(5 * b % 4 for b in range(150)))
    )  # several groups of rows


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("order", ["ragged", "batch_first", "time_first"])
def test_sequences_without_steps_keep_their_state_and_pass_its_gradient_on(cell, order):
    case = Case(cell=cell, lengths=(0, 3, 0), order=order, padding=2, states=True, num_layers=2, bidirectional=True)
    assert_agrees(case)
    assert_agrees(replace(case, lengths=(0, 0)))


@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("table_rows", [0, 4])
@pytest.mark.parametrize("lengths", [(), (0,), (0, 0)])
def test_without_steps_every_weight_has_a_zero_gradient(lengths, table_rows, states):
    answer = native(
        case := Case(lengths=lengths, table_rows=table_rows, states=states, bidirectional=True, num_layers=2),
        inputs := draw(case),
    )
    assert answer.y.shape == (0, 14)
    assert_same_bits(
        [answer.h_n, answer.c_n], [inputs.h0, inputs.c0] if states else [torch.zeros(4, len(lengths), 7)] * 2
    )
    for leaf, gradient in zip(inputs.leaves, answer.gradients, strict=True):
        given_back = leaf is inputs.h0 or leaf is inputs.c0
        assert given_back or not gradient.any()


@pytest.mark.parametrize("cell", GATES)
def test_100_000_steps_equal_a_hundred_runs_of_1000_with_carried_state(cell):
    case = Case(cell=cell, input_size=2, hidden_size=3, lengths=(100_000,), states=True)
    inputs = draw(case)
    whole = native(case, inputs)

    again = inputs.to(torch.float32)
    part, part_of_y, state = replace(case, lengths=(1000,)), [], (again.h0, again.c0)
    for x in again.x.split(1000):
        y, *state = forward(part, again._replace(x=x, h0=state[0], c0=state[1]))
        part_of_y.append(y)
    y = torch.cat(part_of_y)
    loss = sum(
        (out * upstream).sum() for out, upstream in zip((y, *state), inputs.upstream, strict=True) if out is not None
    )
    assert_same_bits([whole.y, whole.h_n], [y, state[0]])
    assert relative_error(whole.gradients, torch.autograd.grad(loss, again.leaves)) < 1e-5


def test_inputs_need_not_be_contiguous():
    case = Case(lengths=(4, 2, 3), states=True, bidirectional=True)
    inputs = draw(case)

    def scattered(tensor):
        return (
            tensor.repeat_interleave(2, dim=-1)[..., ::2]
            if tensor.dim() < 2
            else tensor.transpose(0, 1).contiguous().transpose(0, 1)
        )

    odd = inputs._replace(
        x=scattered(inputs.x),
        h0=scattered(inputs.h0),
        c0=scattered(inputs.c0),
        weights=[scattered(w) for w in inputs.weights],
    )
    odd = odd._replace(upstream=[scattered(u) for u in inputs.upstream])
    leaves = [leaf.requires_grad_() for leaf in odd.leaves]
    assert not any(leaf.is_contiguous() for leaf in leaves if leaf.dim() > 1)
    outputs = forward(case, odd)
    expected = native(case, inputs)
    assert_same_bits([*outputs, *torch.autograd.grad(outputs, leaves, odd.upstream)], expected.tensors)


def test_frozen_inputs_and_weights_do_not_change_the_other_gradients():
    case = Case(num_layers=2, bidirectional=True, states=True)
    inputs, expected = draw(case), native(case, draw(case)).gradients
    for k in range(len(inputs.leaves)):  # one leaf alone wants a gradient
        leaf = inputs.leaves[k].requires_grad_()
        outputs = forward(case, inputs)
        assert_same_bits(torch.autograd.grad(outputs, leaf, inputs.upstream), [expected[k]])
        leaf.requires_grad_(False)


@pytest.mark.parametrize("cell", GATES)
def test_thousands_of_different_rows_of_a_large_table_agree_with_float64(cell):
    assert_agrees(Case(cell=cell, input_size=3, hidden_size=4, lengths=(900, 700, 0, 1), table_rows=5_000))


# ---- bit-identical results -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("table_rows", [0, 20])
def test_number_of_threads_changes_no_bit(cell, table_rows, threads):
    case = replace(WIDE, cell=cell, table_rows=table_rows)
    inputs = draw(case)
    threads(1)
    expected = native(case, inputs).tensors
    for count in (2, 3, 5, 4 * os.cpu_count()):
        threads(count)
        assert_same_bits(native(case, inputs).tensors, expected)


def test_reused_buffers_change_no_bit():
    case = replace(WIDE, cell="gru")
    expected = native(case, draw(case)).tensors
    for other in (Case(seed=1), replace(WIDE, seed=2), replace(WIDE, num_layers=1, seed=3)):
        native(other, draw(other))
        assert_same_bits(native(case, draw(case)).tensors, expected)


@pytest.mark.parametrize("cell", GATES)
def test_inference_depends_on_the_sequence_alone(cell, threads):
    case = Case(
        cell=cell, input_size=19, hidden_size=37, num_layers=2, bidirectional=True, lengths=LENGTHS, states=True
    )
    inputs = draw(case)
    steps, final = [slice(sum(LENGTHS[:b]), sum(LENGTHS[: b + 1])) for b in range(len(LENGTHS))], range(len(LENGTHS))

    def answers(batch, count=1, **layout):  # of the sequences in `batch`, in that order
        threads(count)
        x = torch.cat([inputs.x[steps[b]] for b in batch])
        states = [state[:, list(batch)] if state is not None else None for state in (inputs.h0, inputs.c0)]
        with torch.no_grad():
            mine = replace(case, lengths=tuple(LENGTHS[b] for b in batch), **layout)
            y, *finals = forward(mine, inputs._replace(x=x, h0=states[0], c0=states[1]))
        parts = zip(y.split(mine.lengths), *(f.unbind(1) for f in finals if f is not None), strict=True)
        return dict(zip(batch, parts, strict=True))

    alone = {b: answers([b])[b] for b in final}
    others = [answers(list(final)), answers(list(final)[::-1], 2), answers([4, 2, 6])]
    others += [
        answers(list(final), count, order=order, padding=padding)
        for order in ("batch_first", "time_first")
        for count, padding in ((1, 0), (2, 9))
    ]
    for batch in others:
        for b, answer in batch.items():
            assert_same_bits(answer, alone[b])


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("order", ["ragged", "batch_first", "time_first"])
def test_inference_has_the_bits_of_training(cell, order):
    case = replace(WIDE, cell=cell, order=order)
    trained = native(case, draw(case))
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            outputs = forward(case, draw(case))
        assert not any(out.requires_grad for out in outputs if out is not None)
        assert_same_bits(
            [out for out in outputs if out is not None],
            [out for out in (trained.y, trained.h_n, trained.c_n) if out is not None],
        )


# ---- extreme values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("scale", [TINY / 8, TINY, 1e-30, 1e-10, 30.0])
def test_tiny_and_large_values_agree_with_float64(cell, scale):
    case = Case(cell=cell, lengths=(4, 2), states=True)
    inputs = draw(case)
    assert_agrees(
        case,
        inputs._replace(x=inputs.x * scale, h0=inputs.h0 * scale, c0=None if inputs.c0 is None else inputs.c0 * scale),
    )


def is_denormal(values):
    return (values != 0) & (values.abs() < TINY)


def test_denormal_values_count_as_zeros():
    case = Case(cell="rnn_relu", input_size=1, hidden_size=1, lengths=(1,), bias=False)
    inputs = draw(case)._replace(weights=[torch.ones(1, 1), torch.ones(1, 1)])
    assert native(case, inputs._replace(x=torch.tensor([[TINY / 8]]))).y.item() == 0
    assert native(case, inputs._replace(x=torch.tensor([[TINY]]))).y.item() == TINY


@pytest.mark.parametrize("cell", GATES)
def test_vanishing_gradients_hold_no_denormals_and_the_same_bits_on_any_threads(cell, threads):
    case = replace(WIDE, cell=cell)
    inputs = draw(case)
    inputs = inputs._replace(upstream=[upstream * 1e-37 for upstream in inputs.upstream])
    threads(1)
    expected, exact = native(case, inputs), peer(case, inputs, torch.float64)
    assert is_denormal(exact.gradients[0]).any()
    for mine, right in zip(expected.gradients, exact.gradients, strict=True):
        assert mine.dim() == 3 or not is_denormal(mine).any()  # a state's is the upstream one where there are no steps
        assert (mine - right).abs().max() < 1e-30
    for count in (2, 3, 5):
        threads(count)
        assert_same_bits(native(case, inputs).tensors, expected.tensors)


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("where", ["x", "h0", "weights"])
def test_nan_stays_nan_and_in_its_sequence(cell, where):
    case = Case(cell=cell, hidden_size=21, lengths=(5, 6), states=True)
    inputs = draw(case)
    broken = {"x": inputs.x[2], "h0": inputs.h0[0, 0], "weights": inputs.weights[0]}[where]
    expected = native(case, inputs)
    broken[0] = torch.nan
    theirs, ours = peer(case, inputs, torch.float32), native(case, inputs)
    for mine, right in zip(ours.tensors, theirs.tensors, strict=True):
        assert torch.equal(mine.isnan(), right.isnan())
    assert ours.y[4].isnan().any()
    if where != "weights":
        assert_same_bits([ours.y[5:]], [expected.y[5:]])


@pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "gru"])
@pytest.mark.parametrize("value", [torch.inf, -torch.inf, 3e38])
def test_infinity_saturates_the_gates_as_in_torch_nn(cell, value):
    case = Case(cell=cell, input_size=1, lengths=(3,))
    inputs = draw(case)
    inputs.x[1] = value
    torch.testing.assert_close(native(case, inputs).y, peer(case, inputs, torch.float32).y, equal_nan=True)


# ---- autograd --------------------------------------------------------------------------------------------------------


def test_backward_of_a_retained_graph_gives_the_same_gradients_again():
    case, inputs = WIDE, draw(WIDE).to(torch.float32)
    outputs = forward(case, inputs)
    first, second, third = (
        torch.autograd.grad(outputs, inputs.leaves, inputs.upstream, retain_graph=keep) for keep in (True, True, False)
    )
    assert_same_bits(second, first)
    assert_same_bits(third, first)


def test_unused_outputs_count_as_zero_gradients():
    case, inputs = (
        Case(num_layers=2, bidirectional=True),
        draw(Case(num_layers=2, bidirectional=True)).to(torch.float32),
    )
    for used in range(3):
        zeroed = [u if k == used else torch.zeros_like(u) for k, u in enumerate(inputs.upstream)]
        ours = torch.autograd.grad(forward(case, inputs)[used], inputs.leaves, inputs.upstream[used])
        assert_same_bits(
            [g + 0.0 for g in ours], [g + 0.0 for g in native(case, inputs._replace(upstream=zeroed)).gradients]
        )


@pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "gru"])
@pytest.mark.parametrize("upstream_knows_the_input", [False, True])
def test_second_derivative_is_that_of_the_peer(cell, upstream_knows_the_input):
    case = Case(cell=cell, num_layers=2, bidirectional=True)
    module = PEERS[cell](case.input_size, case.hidden_size, num_layers=2, bidirectional=True).double()

    def alone(inputs):
        weights = dict(zip(dict(module.named_parameters()), inputs.weights, strict=True))
        return torch.cat([torch.func.functional_call(module, weights, x)[0] for x in inputs.x.split(case.lengths)])

    def penalised(run, dtype):
        inputs = draw(case).to(dtype)
        y = run(inputs)
        (gradient,) = torch.autograd.grad((y * y if upstream_knows_the_input else y).sum(), inputs.x, create_graph=True)
        loss = gradient.square().sum() + y.sum()  # a penalty on the gradient beside an ordinary loss
        return [gradient.detach(), *torch.autograd.grad(loss, inputs.leaves)]

    ours = penalised(lambda inputs: forward(case, inputs)[0], torch.float32)
    assert relative_error(ours, penalised(alone, torch.float64)) < 1e-5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own jvp uses torch.jit.script (2.13)
@pytest.mark.parametrize("transform", ["grad", "vmap", "jvp"])
def test_functorch_is_refused(transform):
    case, inputs = Case(), draw(Case())

    def run(x):
        return kernel.recurrent(case.spec, x, None, torch.tensor(case.lengths), None, None, inputs.weights)[0].sum()

    apply = {
        "grad": lambda: torch.func.grad(run)(inputs.x),
        "vmap": lambda: torch.vmap(run)(inputs.x.expand(2, -1, -1)),
        "jvp": lambda: torch.func.jvp(run, (inputs.x,), (inputs.x,)),
    }
    with pytest.raises(RuntimeError, match="functorch|data pointer"):
        apply[transform]()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forward_mode_is_refused():
    case, inputs = Case(), draw(Case())
    with torch.autograd.forward_ad.dual_level(), pytest.raises((RuntimeError, NotImplementedError)):
        kernel.recurrent(
            case.spec,
            torch.autograd.forward_ad.make_dual(inputs.x, inputs.x),
            None,
            torch.tensor(case.lengths),
            None,
            None,
            inputs.weights,
        )


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_gradients_have_the_same_bits(reentrant):
    case, inputs = WIDE, draw(WIDE).to(torch.float32)
    outputs = torch.utils.checkpoint.checkpoint(
        lambda x: forward(case, inputs._replace(x=x)), inputs.x, use_reentrant=reentrant
    )
    torch.autograd.backward(outputs, inputs.upstream)
    assert_same_bits([leaf.grad for leaf in inputs.leaves], native(case, inputs).gradients)


def test_changing_an_input_before_the_backward_is_refused():
    case, inputs = Case(), draw(Case()).to(torch.float32)
    x = inputs.x * 1
    y = forward(case, inputs._replace(x=x))[0]
    x.add_(1)
    with pytest.raises(RuntimeError, match="inplace"):
        y.sum().backward()


# ---- invalid input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [-1, 9, 2**40])
@pytest.mark.parametrize("training", [False, True])
def test_ids_outside_the_table_are_refused(wrong, training):
    case = Case(table_rows=9)
    inputs = draw(case)
    inputs.ids[3] = wrong
    with torch.set_grad_enabled(training), pytest.raises(IndexError, match="table"):
        forward(case, inputs.to(torch.float32))


@pytest.mark.parametrize(
    ("order", "lengths", "padded_length"),
    [
        ("ragged", [4, 3], 0),
        ("ragged", [4], 0),
        ("ragged", [7, -1], 0),
        ("batch_first", [3, 4], 3),
        ("time_first", [-1, 3], 3),
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_mismatched_lengths_are_refused(order, lengths, padded_length, training):
    case = Case()  # of six steps
    inputs = draw(case).to(torch.float32)
    spec = case.spec._replace(order=order, batch_size=len(lengths), padded_length=padded_length)
    with torch.set_grad_enabled(training), pytest.raises(ValueError, match="lengths"):
        kernel.recurrent(spec, inputs.x, None, torch.tensor(lengths), None, None, inputs.weights)


# ---- the linear map with independent rows ----------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("rows", "size", "out"), [(0, 3, 2), (1, 1, 1), (5, 7, 1), (200, 33, 70), (300, 256, 130)])
def test_linear_agrees_with_float64_and_its_rows_are_independent(rows, size, out, bias, threads):
    x, weight, b = torch.randn(rows, size), torch.randn(out, size), torch.randn(out) if bias else None
    y = kernel.linear(x, weight, b)
    exact = torch.nn.functional.linear(x.double(), weight.double(), b if b is None else b.double())
    assert relative_error([y], [exact]) < 1e-6
    threads(3)
    assert_same_bits([kernel.linear(x, weight, b)], [y])
    assert_same_bits([kernel.linear(x[rows // 2 :], weight, b)], [y[rows // 2 :]])
