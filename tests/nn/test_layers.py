"""Layers and stacks: every engine against torch.nn forward and backward, and their invariances."""

import warnings

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

from ostinato.errors import ConfigError
from ostinato.nn import (
    ENGINES,
    Cell,
    Layout,
    RecurrentLayer,
    RecurrentStack,
    VariationalDropout,
    register_cell,
    use_engine,
)
from ostinato.nn.cells.rnn import rnn_tanh_step

PEERS = {
    "rnn_tanh": nn.RNN,
    "rnn_relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}
LENGTHS = torch.tensor([7, 1, 30, 12, 3, 29])


def ragged(lengths, size, dtype=torch.float32):
    return torch.randn(int(lengths.sum()), size, dtype=dtype), Layout(lengths)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", PEERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_layer_equals_torch_nn_forward_and_backward(cell, bidirectional, engine, dtype):
    if engine == "native" and dtype is not torch.float32:
        engine = "auto"  # native cannot run float64
    peer = PEERS[cell](5, 6, batch_first=True, bidirectional=bidirectional).to(dtype)
    layer = RecurrentLayer(5, 6, cell=cell, bidirectional=bidirectional, engine=engine).to(dtype)
    layer.load_state_dict(peer.state_dict())
    values, layout = ragged(LENGTHS, 5, dtype)
    theirs, ours = values.clone().requires_grad_(), values.clone().requires_grad_()

    expected = torch.cat([peer(sequence.unsqueeze(0))[0].squeeze(0) for sequence in theirs.split(LENGTHS.tolist())])
    outputs = layer(ours, layout)
    torch.testing.assert_close(outputs, expected)

    weight = torch.randn_like(expected)
    (outputs * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    for name, parameter in peer.named_parameters():
        torch.testing.assert_close(getattr(layer, name).grad, parameter.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_outputs_depend_on_the_sequence_alone(engine):
    stack = RecurrentStack(
        4, 8, cell="gru", num_layers=2, bidirectional=True, residual=True, layer_norm=True, engine=engine
    )
    values, layout = ragged(LENGTHS, 4)
    together = stack(values, layout).split(LENGTHS.tolist())
    for sequence, expected in zip(values.split(LENGTHS.tolist()), together, strict=True):
        alone = stack(sequence, Layout(torch.tensor([len(sequence)])))
        torch.testing.assert_close(alone, expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_empty_sequences_and_empty_batches_are_accepted(engine):
    layer = RecurrentLayer(3, 4, cell="lstm", bidirectional=True, engine=engine)
    values = torch.randn(5, 3)
    torch.testing.assert_close(
        layer(values, Layout(torch.tensor([0, 2, 0, 3]))), layer(values, Layout(torch.tensor([2, 3])))
    )
    assert layer(values[:0], Layout(torch.tensor([0, 0]))).shape == (0, 8)
    assert layer(values[:0], Layout(torch.tensor([], dtype=torch.int64))).shape == (0, 8)


def test_forcing_native_names_the_dtype_it_cannot_run():
    layer = RecurrentLayer(3, 4, cell="lstm", engine="native").double()
    with pytest.raises(ConfigError, match="float64"):
        layer(*ragged(LENGTHS, 3, torch.float64))


@pytest.mark.parametrize("engine", ENGINES)
def test_use_engine_overrides_the_engine_of_the_layer(engine, monkeypatch):
    called = []
    for name, run in ENGINES.items():
        monkeypatch.setitem(ENGINES, name, lambda *given, name=name, run=run: called.append(name) or run(*given))
    layer = RecurrentLayer(3, 4, cell="gru")
    with use_engine(engine):
        layer(*ragged(LENGTHS, 3))
    layer(*ragged(LENGTHS, 3))
    assert called == [engine, "native"]


def test_stack_of_native_layers_equals_layer_by_layer():
    stack = RecurrentStack(4, 8, cell="lstm", num_layers=3, bidirectional=True)
    values, layout = ragged(LENGTHS, 4)
    expected = values
    for layer in stack.layers:
        expected = layer(expected, layout)
    assert torch.equal(stack(values, layout), expected)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("engine", ENGINES)
def test_token_ids_with_their_table_equal_embedding_first(engine, dropout):
    stack = RecurrentStack(4, 8, cell="gru", num_layers=2, bidirectional=True, dropout=dropout, engine=engine)
    ids, layout = torch.randint(9, (int(LENGTHS.sum()),)), Layout(LENGTHS)
    tables = [torch.randn(10, 4, requires_grad=True) for _ in range(2)]  # row 9 is never read
    tables[1].data.copy_(tables[0])
    weight = torch.randn(len(ids), 16)
    torch.manual_seed(1)
    outputs = stack(ids, layout, table=tables[0])
    torch.manual_seed(1)
    expected = stack(nn.functional.embedding(ids, tables[1]), layout)
    torch.testing.assert_close(outputs, expected)
    (outputs * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(tables[0].grad, tables[1].grad)
    assert not tables[0].grad[9].any()


def test_padding_is_bounded_by_twice_the_real_steps():
    lengths = torch.tensor([1000] + [10] * 63)
    cells = sum(bucket.longest * bucket.width for bucket in Layout(lengths).buckets)
    assert cells <= 2 * lengths.sum()


def test_nothing_computed_in_padding_reaches_a_gradient():
    layer = RecurrentLayer(3, 4, cell="lstm", bidirectional=True)
    values, layout = ragged(torch.tensor([2, 5]), 3)
    values[:2] = torch.nan  # NaN in the short sequence must not reach the long one
    values.requires_grad_()
    layer(values, layout)[2:].sum().backward()
    assert torch.isfinite(values.grad[2:]).all()


def test_lstm_forget_bias_is_one_in_every_layer_and_direction():
    stack = RecurrentStack(3, 4, cell="lstm", num_layers=2, bidirectional=True)
    for layer in stack.layers:
        for weights in layer.directions():
            assert (weights.bias_ih + weights.bias_hh).tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 8


@pytest.mark.parametrize("cell", ["gru", "rnn_tanh"])
def test_cells_without_a_forget_gate_start_with_zero_biases(cell):
    for weights in RecurrentLayer(3, 4, cell=cell, bidirectional=True).directions():
        assert not (weights.bias_ih + weights.bias_hh).any()


def test_recurrent_weights_start_orthogonal():
    (weights,) = RecurrentLayer(3, 8, cell="gru").directions()
    for block in weights.weight_hh.split(8):
        torch.testing.assert_close(block @ block.T, torch.eye(8), atol=1e-5, rtol=0)


def test_dropout_acts_in_a_single_layer_and_only_in_training():
    stack = RecurrentStack(4, 8, cell="lstm", num_layers=1, dropout=0.5)
    values, layout = ragged(LENGTHS, 4)
    assert not torch.equal(stack(values, layout), stack(values, layout))
    stack.eval()
    assert torch.equal(stack(values, layout), stack(values, layout))


def test_variational_dropout_drops_the_same_units_at_every_step_of_a_sequence():
    dropped = VariationalDropout(0.5)(torch.ones(50, 16), Layout(torch.tensor([20, 30])))
    for sequence in dropped.split([20, 30]):
        assert torch.equal(sequence, sequence[:1].expand_as(sequence))
        assert set(sequence.unique().tolist()) == {0.0, 2.0}
    assert not torch.equal(dropped[0], dropped[20])


def test_residual_adds_the_input_from_the_second_layer_on():
    plain = RecurrentStack(4, 8, cell="gru", num_layers=2)
    residual = RecurrentStack(4, 8, cell="gru", num_layers=2, residual=True)
    residual.load_state_dict(plain.state_dict())
    values, layout = ragged(LENGTHS, 4)
    first = plain.layers[0](values, layout)
    torch.testing.assert_close(residual(values, layout), plain(values, layout) + first)


def test_unknown_cell_and_engine_are_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="'lstn'.*'lstm'"):
        RecurrentLayer(3, 4, cell="lstn")
    with pytest.raises(ConfigError, match="'torhc'.*'torch'"):
        RecurrentLayer(3, 4, cell="lstm", engine="torhc")


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (torch.tensor([2.0, 3.0]), "float32"),
        (torch.tensor([3, -1]), r"lengths\[1\] is -1"),
        (torch.tensor([[2, 3]]), r"\(1, 2\)"),
    ],
)
def test_lengths_that_are_not_counts_are_refused(lengths, message):
    with pytest.raises(ValueError, match=message):
        Layout(lengths)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
def test_lengths_of_any_integer_dtype_are_accepted(dtype):
    assert Layout(torch.tensor([2, 0, 3], dtype=dtype)).sequence.tolist() == [0, 0, 2, 2, 2]


def test_double_backward_of_the_reference_is_right():
    layer = RecurrentLayer(2, 3, cell="gru", bidirectional=True, engine="reference").double()
    layout = Layout(torch.tensor([3, 9, 1]))
    values = torch.randn(13, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x, layout), values)


@pytest.mark.gpu
@pytest.mark.parametrize("cell", PEERS)
def test_gpu_equals_cpu_without_warnings_and_backward_in_eval_mode(cell):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    layer = RecurrentLayer(5, 6, cell=cell, bidirectional=True).eval()
    values, layout = ragged(LENGTHS, 5)
    expected = layer(values, layout)
    device = torch.device("cuda")
    on_gpu = values.to(device).requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outputs = layer.to(device)(on_gpu, Layout(LENGTHS, device))
    torch.testing.assert_close(outputs.cpu(), expected, rtol=1e-3, atol=1e-4)
    outputs.sum().backward()
    assert torch.isfinite(on_gpu.grad).all()


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch's own, in make_dual
def test_forward_mode_derivative_equals_a_finite_difference():
    layer, layout = RecurrentLayer(3, 4, cell="gru"), Layout(torch.tensor([2, 3]))
    values, tangent = torch.randn(5, 3), torch.randn(5, 3)
    with torch.no_grad(), forward_ad.dual_level():
        found = forward_ad.unpack_dual(layer(forward_ad.make_dual(values, tangent), layout)).tangent
    expected = (layer(values + 1e-2 * tangent, layout) - layer(values - 1e-2 * tangent, layout)) / 2e-2
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3)


def test_autocast_selects_the_torch_engine():
    layer = RecurrentLayer(3, 4, cell="gru")
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.engine_for(torch.randn(5, 3)) == "torch"


MORE = ["mingru", "minlstm", "mingru_signed", "minlstm_signed", "rglru", "lru", "lnlstm", "slstm"]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", MORE)
def test_engines_of_further_cells_equal_the_step_loop_forward_and_backward(cell, bidirectional):
    layer = RecurrentLayer(5, 6, cell=cell, bidirectional=bidirectional).double()
    values, layout = ragged(torch.tensor([7, 1, 300, 12, 0, 65]), 5, torch.float64)
    found = []
    for engine in ("reference", "torch"):
        layer.zero_grad()
        inputs = values.clone().requires_grad_()
        with use_engine(engine):
            outputs = layer(inputs, layout)
        (outputs * torch.linspace(-1, 1, outputs.numel(), dtype=torch.float64).view_as(outputs)).sum().backward()
        found.append([outputs.detach(), inputs.grad, *(parameter.grad.clone() for parameter in layer.parameters())])
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("cell", MORE)
def test_further_cells_run_in_16_bits_and_under_autocast(cell):
    stack = RecurrentStack(5, 6, cell=cell, num_layers=2, engine="torch").bfloat16().float()
    values, layout = ragged(LENGTHS, 5)
    values = values.bfloat16().float()  # as the weights: exact in 16 bits
    expected = stack(values, layout)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(stack(values, layout).float(), expected, rtol=0.1, atol=0.05)
    narrow = stack.bfloat16()(values.bfloat16(), layout)
    torch.testing.assert_close(narrow.float(), expected, rtol=0.1, atol=0.05)


@pytest.mark.parametrize("cell", ["mingru", "minlstm"])
def test_the_papers_parallel_form_in_logarithms_equals_the_step_loop(cell):
    layer = RecurrentLayer(3, 4, cell=cell, engine="reference").double()
    values, layout = ragged(torch.tensor([40]), 3, torch.float64)
    sums = nn.functional.linear(values, layer.weight_ih_l0, layer.bias_ih_l0)
    log_sigmoid = nn.functional.logsigmoid
    if cell == "mingru":
        z, n = sums.chunk(2, dim=1)
        log_a, log_b = log_sigmoid(-z), log_sigmoid(z)
    else:
        f, i, n = sums.chunk(3, dim=1)
        difference = nn.functional.softplus(-f) - nn.functional.softplus(-i)
        log_a, log_b = -nn.functional.softplus(difference), -nn.functional.softplus(-difference)
    log_b = log_b + torch.where(n >= 0, torch.log(n.relu() + 0.5), log_sigmoid(n))
    decay = log_a.cumsum(0)  # Heinsen (2023), arXiv:2311.06281
    parallel = torch.exp(decay + torch.logcumsumexp(log_b - decay, 0))
    torch.testing.assert_close(layer(values, layout), parallel, rtol=1e-10, atol=1e-12)
    gradients = [
        torch.autograd.grad(outputs.sin().sum(), [*layer.parameters()]) for outputs in (layer(values, layout), parallel)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cell", ["mingru", "minlstm"])
def test_the_scan_stays_exact_over_long_sequences(cell):
    layer = RecurrentLayer(2, 3, cell=cell)
    values, layout = 10 * torch.randn(5000, 2), Layout(torch.tensor([5000]))
    with torch.inference_mode(), use_engine("torch"):
        ours = layer(values, layout)
    with torch.inference_mode(), use_engine("reference"):
        exact = layer.double()(values.double(), layout)
    torch.testing.assert_close(ours.double(), exact, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("cell", MORE)
def test_further_cells_pass_gradcheck(cell):
    layer = RecurrentLayer(2, 3, cell=cell, bidirectional=True, engine="torch").double()
    values, layout = ragged(torch.tensor([3, 0, 2]), 2, torch.float64)
    names = [name for name, _ in layer.named_parameters()]

    def run(inputs, *weights):
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (inputs, layout))

    assert torch.autograd.gradcheck(run, [values.requires_grad_(), *layer.parameters()])


STARTS = {  # the gate with an initial bias, and the bias
    "mingru": (0, -1.0),
    "minlstm": (0, 1.0),
    "mingru_signed": (0, -1.0),
    "minlstm_signed": (0, 1.0),
    "lnlstm": (1, 1.0),
}


@pytest.mark.parametrize("cell", STARTS)
def test_further_cells_start_by_keeping_their_state(cell):
    biases, (gate, bias) = RecurrentLayer(2, 4, cell=cell).bias_ih_l0.view(-1, 4).tolist(), STARTS[cell]
    assert biases == [[bias if number == gate else 0.0] * 4 for number in range(len(biases))]
    if cell == "lnlstm":
        assert RecurrentLayer(2, 4, cell=cell).gain_hh_l0.tolist() == [1.0] * 16


def test_forcing_native_for_a_cell_without_a_kernel_is_an_error():
    register_cell("without_kernel", Cell("without_kernel", gates=1, states=1, step=rnn_tanh_step))
    with pytest.raises(ConfigError, match="without_kernel"):
        RecurrentLayer(2, 4, cell="without_kernel", engine="native")(*ragged(LENGTHS, 2))


@pytest.mark.slow
# warnings of torch's compiler about itself (PyTorch 2.13)
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("cell", MORE)
def test_further_cells_stack_and_compile(cell):
    stack = RecurrentStack(4, 6, cell=cell, num_layers=2, bidirectional=True, residual=True, layer_norm=True)
    values, layout = ragged(LENGTHS, 4)
    torch.testing.assert_close(
        torch.compile(stack, backend="eager")(values, layout), stack(values, layout), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "gru"])
def test_weight_dropout_drops_recurrent_weights_with_one_mask_for_the_pass(cell, engine):
    options = {"cell": cell, "num_layers": 2, "bidirectional": True, "engine": engine}
    stack, masked = RecurrentStack(3, 4, **options, weight_dropout=0.5), RecurrentStack(3, 4, **options)
    masked.load_state_dict(stack.state_dict())
    values, layout = ragged(LENGTHS, 3)
    torch.manual_seed(3)
    outputs = stack(values, layout)
    torch.manual_seed(3)
    with torch.no_grad():
        for layer in masked.layers:
            for suffix in ("_l0", "_l0_reverse"):
                weight = getattr(layer, f"weight_hh{suffix}")
                weight.copy_(nn.functional.dropout(weight, 0.5))
    torch.testing.assert_close(outputs, masked(values, layout))
    outputs.sum().backward()
    for layer, other in zip(stack.layers, masked.layers, strict=True):
        assert not layer.weight_hh_l0.grad[other.weight_hh_l0 == 0].any()
        assert layer.weight_hh_l0.grad.any()


def test_the_mean_of_dropped_weights_is_the_weight():
    layer = RecurrentLayer(3, 4, cell="gru", weight_dropout=0.3)
    draws = torch.stack([layer.dropped_directions()[0].weight_hh.detach() for _ in range(4000)])
    torch.testing.assert_close(draws.mean(dim=0), layer.weight_hh_l0.detach(), rtol=0.06, atol=1e-3)


def test_weight_dropout_does_nothing_in_eval_mode():
    layer = RecurrentLayer(3, 4, cell="lstm", weight_dropout=0.5).eval()
    assert layer.dropped_directions()[0].weight_hh is layer.weight_hh_l0


def test_weight_dropout_of_a_cell_without_recurrent_weights_is_refused():
    with pytest.raises(ConfigError, match="weight_dropout 0.5: cell mingru"):
        RecurrentLayer(3, 4, cell="mingru", weight_dropout=0.5)
