"""Recurrent weights in int8: against the scheme written out in torch, against float64, and their invariances."""

from dataclasses import replace

import pytest
import torch
from cases import GATES, WIDE, Case, assert_same_bits, draw, forward, native, peer, peer_of, relative_error

import ostinato.nn
from ostinato.nn import kernel, use_precision
from ostinato.nn.kernel import chosen_precision

if not kernel.is_built():
    pytest.skip("the kernel was not compiled", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("variant")
INT8 = replace(WIDE, precision="int8")
LONG = Case(input_size=40, hidden_size=72, lengths=(230, 201, 77), states=True, precision="int8")


def inference(case, inputs):
    """The kernel's y, h_n and, if the cell has it, c_n without gradients."""
    with torch.no_grad():
        return [out for out in forward(case, inputs) if out is not None]


def rounded(rows, limit):
    """Each row as integers up to `limit` times one scale."""
    scale = rows.abs().amax(-1, keepdim=True) / limit
    return torch.where(scale > 0, rows / scale, 0).round().double(), scale.double()


def by_the_scheme(case, inputs):
    """The outputs of one layer and direction whose products W_hh h have rounded factors; all else in float64."""
    weight_ih, weight_hh, *biases = inputs.weights
    b_ih, b_hh = (bias.double() for bias in biases)
    H, ys = case.hidden_size, []
    integers, scales = rounded(weight_hh, 127)
    limit = min(2**15 - 1, (2**31 - 1) // (127 * H))
    for b, steps in enumerate(inputs.x.double().split(case.lengths)):
        h, c = inputs.h0[0, b].double(), torch.zeros(H) if inputs.c0 is None else inputs.c0[0, b].double()
        for x in steps:
            state, scale = rounded(h.float(), limit)
            from_x, from_h = weight_ih.double() @ x + b_ih, integers @ state * scales.squeeze(1) * scale + b_hh
            h, c = step(case.cell, from_x, from_h, h, c)
            ys.append(h)
    return torch.stack(ys)


def step(cell, from_x, from_h, h, c):
    """The cell's equation."""
    if cell == "lstm":
        i, f, g, o = (from_x + from_h).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
    if cell == "gru":
        (r_x, z_x, n_x), (r_h, z_h, n_h) = from_x.chunk(3), from_h.chunk(3)
        z, n = (z_x + z_h).sigmoid(), (n_x + (r_x + r_h).sigmoid() * n_h).tanh()
        return (1 - z) * n + z * h, c
    total = from_x + from_h
    return (total.tanh() if cell == "rnn_tanh" else total.relu()), c


@pytest.mark.parametrize("cell", GATES)
def test_outputs_are_those_of_the_scheme(variant, cell):
    for size in (1, 2, 7, 17, 33, 100):
        case = Case(cell=cell, hidden_size=size, lengths=(20, 7, 1, 3, 2), states=True, precision="int8")
        inputs = draw(case)
        inputs.h0[0, 1] *= 50  # the state's scale follows the largest of its units
        assert relative_error(inference(case, inputs)[:1], [by_the_scheme(case, inputs)]) <= 1e-5


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("layers", [{}, {"num_layers": 2, "bidirectional": True}])
def test_errors_against_float64_are_small(variant, cell, layers):
    case = replace(LONG, cell=cell, **layers)
    error = relative_error(inference(case, draw(case)), peer_of(case, torch.float64).outputs)
    assert 1e-5 < error <= 1e-2


@pytest.mark.parametrize("cell", GATES)
def test_orders_ids_and_missing_biases_agree_with_float64(variant, cell):
    sides = {"hidden_size": 19, "num_layers": 2, "bidirectional": True, "lengths": (9, 0, 4), "states": True}
    for other in (
        {"order": "batch_first", "padding": 2},
        {"order": "time_first", "padding": 1},
        {"order": "time_first", "lengths": (6, 6)},
        {"table_rows": 6},
        {"bias": False},
        {"hidden_size": 300, "lengths": (2,)},
    ):
        case = Case(cell=cell, precision="int8", **(sides | other))
        assert relative_error(inference(case, draw(case)), peer_of(case, torch.float64).outputs) <= 1e-2


@pytest.mark.parametrize("cell", GATES)
def test_a_sequence_has_the_same_bits_in_any_batch_order_and_number_of_threads(variant, cell, threads):
    lengths = (7, 1, 30, 0, 12, 3, 29, 30, 2)
    case = replace(INT8, cell=cell, lengths=lengths)
    inputs = draw(case)
    threads(1)
    expected = inference(case, inputs)
    for count in (2, 5):
        threads(count)
        assert_same_bits(inference(case, inputs), expected)
    for order in ("batch_first", "time_first"):
        assert_same_bits(inference(replace(case, order=order, padding=1), inputs), expected)
    for b, steps in enumerate(inputs.x.split(lengths)):
        state = [part if part is None else part[:, b : b + 1] for part in (inputs.h0, inputs.c0)]
        alone = replace(case, lengths=(lengths[b],))
        y, *_ = inference(alone, inputs._replace(x=steps, h0=state[0], c0=state[1]))
        assert_same_bits([y], [expected[0].split(lengths)[b]])


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("lengths", [(170,), (150, 0, 151)])
def test_a_team_computes_the_bits_of_one_thread(variant, cell, lengths, threads):
    case = Case(cell=cell, hidden_size=230, lengths=lengths, states=True, precision="int8")
    threads(1)
    expected = inference(case, draw(case))
    for count in (2, 8):
        threads(count)
        assert_same_bits(inference(case, draw(case)), expected)


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_state_that_is_not_finite_makes_its_sequence_nan(variant, cell, value):
    case = Case(cell=cell, hidden_size=21, lengths=(5, 6), states=True, precision="int8")
    inputs = draw(case)
    expected, *_ = inference(case, inputs)
    inputs.h0[0, 0, 20] = value
    y, *_ = inference(case, inputs)
    assert y[:5].isnan().all()
    assert_same_bits([y[5:]], [expected[5:]])


@pytest.mark.parametrize("cell", GATES)
def test_nan_in_the_input_spreads_as_in_torch(variant, cell):
    case = Case(cell=cell, hidden_size=21, lengths=(5, 6), states=True, precision="int8")
    inputs = draw(case)
    inputs.x[2, 0] = torch.nan
    theirs = peer(case, inputs, torch.float32)
    assert torch.equal(inference(case, inputs)[0].isnan(), theirs.y.isnan())


@pytest.mark.parametrize("cell", GATES)
def test_zero_weights_and_zero_states_add_nothing(variant, cell):
    case = Case(cell=cell, hidden_size=9, lengths=(5, 1), states=True, precision="int8")
    inputs = draw(case)
    inputs.weights[1][::2] = 0
    inputs.h0[:, 1] = 0
    assert relative_error(inference(case, inputs), peer(case, inputs, torch.float64).outputs) <= 1e-2
    inputs.weights[1].zero_()
    assert relative_error(inference(case, inputs), peer(case, inputs, torch.float64).outputs) <= 1e-6


@pytest.mark.parametrize("cell", GATES)
def test_where_gradients_are_recorded_bits_are_those_of_float32(cell):
    case = replace(INT8, cell=cell, lengths=(9, 0, 4))
    ours, exact = (native(each, draw(case)) for each in (case, replace(case, precision="float32")))
    assert_same_bits(ours.tensors, exact.tensors)
    assert relative_error(inference(case, draw(case)), exact.outputs) > 1e-5


@pytest.mark.parametrize("cell", ["lnlstm", "slstm", "lru"])
def test_other_cells_stay_in_float32(cell):
    stack, x = ostinato.nn.RecurrentStack(5, 9, cell=cell), torch.randn(7, 5)
    layout = ostinato.nn.Layout(torch.tensor([4, 3]))
    with torch.no_grad():
        expected = stack(x, layout)
        with use_precision("int8"):
            assert_same_bits([stack(x, layout)], [expected])


def test_a_compiled_layer_has_the_bits_of_an_eager_one():
    layer, x = ostinato.nn.LSTM(5, 20), torch.randn(9, 4, 5)
    with use_precision("int8"), torch._dynamo.config.patch(allow_rnn=True):
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        with torch.no_grad():
            assert_same_bits([compiled(x)[0]], [layer(x)[0]])
        assert_same_bits([compiled(x)[0].detach()], [layer(x)[0].detach()])
    with torch.no_grad(), use_precision("int8"):
        quantized = layer(x)[0]
    assert not torch.equal(quantized, layer(x)[0])


def test_compiled_training_is_in_float32_even_if_it_saves_too_little():
    case = replace(INT8, lengths=(9, 0, 4))
    inputs, lengths = draw(case), torch.tensor(case.lengths)
    arguments = (inputs.x, None, lengths, inputs.h0, inputs.c0, inputs.weights)
    y, *_ = torch.ops.ostinato.recurrent(*arguments, *case.spec, 1, 0)
    assert torch.equal(y, inference(replace(case, precision="float32"), inputs)[0])


def test_use_precision_holds_inside_its_block():
    with use_precision("int8"):
        assert chosen_precision() == "int8"
    assert chosen_precision() == "float32" and chosen_precision("int8") == "int8"
