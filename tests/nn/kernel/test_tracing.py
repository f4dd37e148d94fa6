"""The registered operators: torch's own checks, and compiled, exported and intercepted calls against eager ones."""

import io
import subprocess
import sys

import pytest
import torch
import torch._dynamo.testing
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.export import Dim
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils._python_dispatch import TorchDispatchMode

from ostinato.errors import ConfigError
from ostinato.nn.drop_in import GRU, LSTM
from ostinato.nn.kernel import Spec, is_built, recurrent, tracing

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
SIZES = [(3, 7), (4, 9), (2, 30), (5, 2), (1, 5), (2, 1)]

pytestmark = [
    pytest.mark.skipif(not is_built(), reason="the native engine is not built"),
    # torch.export.save and load, PyTorch 2.13, of torch's own classes
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.. is deprecated:FutureWarning"),
]


@pytest.fixture(autouse=True)
def _nothing_compiled_before():
    torch._dynamo.reset()


class Stack(nn.Module):
    """The kernel on padded tensors, without our layers."""

    def __init__(self, cell, input_size=5, hidden_size=6, num_layers=2, bidirectional=True, bias=True):
        super().__init__()
        self.cell, self.options = cell, (hidden_size, num_layers, bidirectional, bias)
        self.weights = nn.ParameterList(make_weights(cell, input_size, hidden_size, num_layers, bidirectional, bias))

    def forward(self, x, lengths=None, h0=None):
        spec = Spec(self.cell, *self.options, "batch_first", x.shape[0], x.shape[1])
        y, h_n, c_n = recurrent(spec, x.flatten(0, 1), None, lengths, h0, None, list(self.weights))
        return y.view(*x.shape[:2], y.shape[1]), h_n, h_n if c_n is None else c_n


def make_weights(cell, input_size, hidden_size, num_layers, bidirectional, bias):
    sides, gates, shapes = 2 if bidirectional else 1, GATES[cell] * hidden_size, []
    for size in [input_size] + [sides * hidden_size] * (num_layers - 1):
        shapes += ([(gates, size), (gates, hidden_size)] + [(gates,)] * (2 if bias else 0)) * sides
    return [torch.randn(shape) / hidden_size**0.5 for shape in shapes]


def run(function, stack, *inputs):
    """Outputs, and the gradients of parameters and floating-point inputs for a nonlinear function of the outputs."""
    stack.zero_grad()
    inputs = [
        t.clone().requires_grad_() if isinstance(t, torch.Tensor) and t.is_floating_point() else t for t in inputs
    ]
    outputs = function(*inputs)
    sum((k * output.sin()).sum() for k, output in enumerate(outputs, 1)).backward()
    leaves = [*stack.parameters(), *(t for t in inputs if isinstance(t, torch.Tensor) and t.requires_grad)]
    return [output.detach() for output in outputs], [leaf.grad.clone() for leaf in leaves]


def assert_same(ours, expected):
    torch.testing.assert_close(ours, expected, rtol=0, atol=0)


def operators_of(graph):
    return [str(node.target) for node in graph.nodes if "ostinato" in str(node.target)]


# ---- the operators by themselves -------------------------------------------------------------------------------------

# 16 steps fill the saved buffer; with fewer its tail is not written and differs from call to call
CASES = {
    "lstm, padded": (Spec("lstm", 6, 1, True, True, "batch_first", 2, 8), None, None, True, True),
    "gru, ragged, by ids": (
        Spec("gru", 4, 1, False, True, "ragged", 3, 0),
        [7, 0, 9],
        [0, 2, 1, 1, 3, 0, 0, 2, 2, 1, 3, 3, 0, 1, 2, 0],
        False,
        True,
    ),
    "rnn, no biases, time first": (Spec("rnn_tanh", 5, 2, True, False, "time_first", 4, 4), None, None, True, True),
    "lstm, shorter, for inference": (Spec("lstm", 5, 1, True, True, "batch_first", 3, 6), [6, 0, 2], None, True, False),
}


def make_call(case):
    spec, lengths, ids, states, training = CASES[case]
    rows = spec.batch_size * spec.padded_length if ids is None else 4
    shape = (spec.num_layers * (2 if spec.bidirectional else 1), spec.batch_size, spec.hidden_size)
    h0, c0 = (
        torch.randn(shape, requires_grad=True) if wanted else None
        for wanted in (states, states and spec.cell == "lstm")
    )
    weights = [weight.requires_grad_() for weight in make_weights(spec.cell, 3, *spec[1:5])]
    ids, lengths = (None if part is None else torch.tensor(part) for part in (ids, lengths))
    kept = (
        tracing.constant_saved_size(
            spec.cell, spec.num_layers, 2 if spec.bidirectional else 1, 3, spec.hidden_size, spec.precision
        )
        if training
        else (0, 0)
    )
    return (torch.randn(rows, 3, requires_grad=True), ids, lengths, h0, c0, weights, *spec, *kept)


@pytest.mark.parametrize("case", CASES)
def test_operator_passes_torchs_own_check(case):
    found = torch.library.opcheck(torch.ops.ostinato.recurrent.default, make_call(case))
    assert set(found.values()) == {"SUCCESS"}


@pytest.mark.parametrize("case", CASES)
def test_backward_operator_passes_torchs_own_check(case):
    *call, per_step, per_batch = make_call(case)
    y, h_n, c_n, saved = torch.ops.ostinato.recurrent(*call, per_step, per_batch)
    x, ids, lengths, h0, c0, weights, *fields = call
    wanted = [True, h0 is not None, c0 is not None, *(k != 1 for k in range(len(weights)))]
    detached = [
        None if t is None else t.detach()
        for t in (saved, y.cos(), h_n.sin(), c_n.sin() if c0 is not None else None, x, ids, lengths, h0, c0)
    ]
    arguments = (*detached, [weight.detach() for weight in weights], *fields, wanted)
    found = torch.library.opcheck(torch.ops.ostinato.recurrent_backward.default, arguments)
    assert set(found.values()) == {"SUCCESS"}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kept", [0, 1, 10_000])  # none, too few and more than enough
def test_operator_equals_the_eager_call(case, kept):
    x, ids, lengths, h0, c0, weights, *fields, _, _ = make_call(case)
    spec, leaves = Spec(*fields), [t for t in (x, h0, c0, *weights) if t is not None]

    def gradients(y, h_n):
        return torch.autograd.grad((y.sin().sum() + h_n.cos().sum()), leaves)

    expected = recurrent(spec, x, ids, lengths, h0, c0, weights)
    y, h_n, c_n, saved = torch.ops.ostinato.recurrent(x, ids, lengths, h0, c0, weights, *spec, kept, 0)
    assert_same([y, h_n], list(expected[:2]))
    assert_same(gradients(y, h_n), gradients(*expected[:2]))
    assert not saved.requires_grad and saved.numel() == 16 * kept * (2 if case == "lstm, shorter, for inference" else 1)
    if spec.cell == "lstm":
        assert_same(c_n, expected[2])


def test_gradients_are_those_of_torch_nn_and_only_the_wanted_ones():
    peer, x, h0 = nn.GRU(3, 4, batch_first=True), torch.randn(2, 5, 3, requires_grad=True), torch.randn(1, 2, 4)
    peer.weight_hh_l0.requires_grad_(False)
    peer(x, h0)[0].sin().sum().backward()
    ours = [parameter.detach().clone().requires_grad_(parameter.requires_grad) for parameter in peer.parameters()]
    values = x.detach().flatten(0, 1).requires_grad_()
    spec = Spec("gru", 4, 1, False, True, "batch_first", 2, 5)
    torch.ops.ostinato.recurrent(values, None, None, h0, None, ours, *spec, 0, 0)[0].sin().sum().backward()
    torch.testing.assert_close(values.grad, x.grad.flatten(0, 1))
    assert ours[1].grad is None
    for weight, parameter in zip(ours, peer.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, parameter.grad)


def test_retained_graph_gives_the_same_gradients_again():
    x, *rest = make_call("lstm, padded")
    y = torch.ops.ostinato.recurrent(x, *rest)[0].sin().sum()
    once, again = torch.autograd.grad(y, [x], retain_graph=True), torch.autograd.grad(y, [x])
    assert_same(again, once)


def test_second_derivative_is_refused():
    x, *rest = make_call("lstm, padded")
    (gradient,) = torch.autograd.grad(torch.ops.ostinato.recurrent(x, *rest)[0].sin().sum(), [x], create_graph=True)
    with pytest.raises(RuntimeError, match="second derivative"):
        gradient.sum().backward()


def test_the_saved_buffer_outlives_the_call_and_is_reused():
    x, *rest = make_call("lstm, padded")
    view = torch.ops.ostinato.recurrent(x, *rest)[3].detach()[:100]
    before, address = view.clone(), view.data_ptr()
    other = torch.ops.ostinato.recurrent(x, *rest)[3]  # takes another buffer while this one is in use
    assert other.data_ptr() != address
    assert_same(view, before)
    del view
    assert torch.ops.ostinato.recurrent(x, *rest)[3].data_ptr() == address


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, torch.zeros(15, 3), r"x .*\(15, 3\).*\(16, 3\)"),
        (0, torch.zeros(16, 3, dtype=torch.float64), "x .*float64.*float32"),
        (2, torch.tensor([8]), r"lengths .*\(1,\).*\(2,\)"),
        (2, torch.tensor([8, 8], dtype=torch.int32), "lengths .*int32.*int64"),
        (3, torch.zeros(2, 2, 5), r"h0 .*\(2, 2, 5\).*\(2, 2, 6\)"),
        (5, [torch.zeros(24, 3)], "1 weights.* 8"),
        (
            5,
            [torch.zeros(24, 3)] * 8,
            r"weight_hh_l0 .*\(24, 3\).*\(24, 6\)",
        ),
        (6, "lstmm", "'lstmm'.*'lstm'"),
        (11, "ragged", "ragged.* 8"),
    ],
)
def test_mismatched_tensors_are_refused(position, value, message):
    call = list(make_call("lstm, padded"))
    call[position] = value
    with pytest.raises(ConfigError, match=message):
        torch.ops.ostinato.recurrent(*call)


def test_mismatched_gradients_are_refused():
    *call, per_step, per_batch = make_call("lstm, padded")
    y, _, _, saved = torch.ops.ostinato.recurrent(*call, per_step, per_batch)
    wanted = [True] * (3 + len(call[5]))
    with pytest.raises(ConfigError, match=r"dy .*\(15, 12\).*\(16, 12\)"):
        torch.ops.ostinato.recurrent_backward(saved, y[1:], None, None, *call, wanted)


# ---- torch.compile ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "backend"), [("lstm", "aot_eager"), ("gru", "eager")])
def test_one_compiled_graph_serves_any_batch_and_length(cell, backend):
    stack = Stack(cell)
    counter = torch._dynamo.testing.CompileCounterWithBackend(backend)
    compiled = torch.compile(stack, fullgraph=True, dynamic=True, backend=counter)
    for batch_size, steps in SIZES[:4]:  # torch.compile makes a separate graph for a size of 1
        x, lengths = torch.randn(batch_size, steps, 5), torch.randint(0, steps + 1, (batch_size,))
        assert_same(run(compiled, stack, x, lengths), run(stack, stack, x, lengths))
    assert counter.frame_count == 1
    assert operators_of(counter.graphs[0].graph) == ["ostinato.recurrent"]
    assert_same(
        run(compiled, stack, torch.ones(1, 1, 5), torch.tensor([1])),
        run(stack, stack, torch.ones(1, 1, 5), torch.tensor([1])),
    )


def test_marked_dimensions_stay_dynamic():
    stack, x, h0 = Stack("gru"), torch.randn(3, 7, 5), torch.randn(4, 3, 6)
    for tensor, dimension in ((x, 0), (x, 1), (h0, 1)):
        torch._dynamo.mark_dynamic(tensor, dimension)
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(stack, fullgraph=True, backend=counter)
    compiled(x, None, h0)  # raises if a marked size becomes a constant
    for batch_size, steps in SIZES[:4]:
        x, h0 = torch.randn(batch_size, steps, 5), torch.randn(4, batch_size, 6)
        assert_same(compiled(x, None, h0), stack(x, None, h0))
    assert counter.frame_count == 1


def test_compiled_table_gradient_equals_eager():
    weights, spec = (
        [w.requires_grad_() for w in make_weights("lstm", 3, 4, 1, True, True)],
        Spec("lstm", 4, 1, True, True, "ragged", 2, 0),
    )

    def loss(table, ids, lengths):
        return recurrent(spec, table, ids, lengths, None, None, weights)[0].sin().sum()

    compiled = torch.compile(loss, fullgraph=True, dynamic=True, backend="aot_eager")
    for counts in ([2, 3], [6, 0]):
        table, ids = torch.randn(10, 3, requires_grad=True), torch.randint(0, 10, (sum(counts),))
        expected, ours = (
            torch.autograd.grad(f(table, ids, torch.tensor(counts)), [table, *weights]) for f in (loss, compiled)
        )
        assert_same(ours, expected)


def test_no_grad_and_inference_mode_save_nothing():
    stack, x = Stack("lstm"), torch.randn(2, 4, 5)
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(stack, fullgraph=True, backend=counter)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert_same(compiled(x), stack(x))
    for graph in counter.graphs:
        (node,) = (node for node in graph.graph.nodes if "ostinato" in str(node.target))
        assert node.args[-1] == 0  # floats a step for a backward


def test_checkpointed_and_compiled_equals_eager():
    stack = Stack("gru")

    def checkpointed(x):
        return torch.utils.checkpoint.checkpoint(stack, x, use_reentrant=False)

    compiled = torch.compile(checkpointed, fullgraph=True, backend="aot_eager")
    x = torch.randn(3, 7, 5)
    assert_same(run(compiled, stack, x), run(stack, stack, x))


@pytest.mark.filterwarnings(
    "ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"
)  # inductor's own, PyTorch 2.13
def test_inductor_equals_eager():
    stack = Stack("gru")  # alone, because for other operations inductor would start a C++ compiler
    compiled = torch.compile(stack, fullgraph=True, dynamic=True)
    for batch_size, steps in SIZES[:2]:
        x = torch.randn(batch_size, steps, 5)
        assert_same(run(compiled, stack, x), run(stack, stack, x))


# ---- torch.export ----------------------------------------------------------------------------------------------------


def export(module, inputs, dynamic_shapes, strict):
    """Exported, saved, loaded."""
    file = io.BytesIO()
    torch.export.save(torch.export.export(module, inputs, dynamic_shapes=dynamic_shapes, strict=strict), file)
    file.seek(0)
    return torch.export.load(file)


@pytest.mark.parametrize(("with_lengths", "strict"), [(True, True), (False, False)])
def test_exported_and_loaded_equals_eager_at_sizes_never_traced(with_lengths, strict):
    stack, B, T = Stack("lstm"), Dim("B"), Dim("T")
    lengths = torch.tensor([7, 3, 0]) if with_lengths else None
    program = export(stack, (torch.randn(3, 7, 5), lengths), ({0: B, 1: T}, {0: B} if with_lengths else None), strict)
    assert operators_of(program.graph) == ["ostinato.recurrent.default"]
    for batch_size, steps in SIZES:
        x, lengths = (
            torch.randn(batch_size, steps, 5),
            torch.randint(0, steps + 1, (batch_size,)) if with_lengths else None,
        )
        assert_same(program.module()(x, lengths), stack(x, lengths))


@pytest.mark.skipif(not hasattr(torch.compiler, "is_exporting"), reason="needs torch.compiler.is_exporting")
def test_exported_program_saves_nothing_and_can_be_trained():
    stack, x = Stack("gru"), torch.randn(3, 7, 5)
    program = export(stack, (x,), None, False)
    (node,) = (node for node in program.graph.nodes if "ostinato" in str(node.target))
    assert node.args[-1] == 0  # floats a step for a backward
    module = program.module()
    assert_same(run(module, module, x), run(stack, stack, x))


@pytest.mark.parametrize("with_lengths", [True, False])
@pytest.mark.parametrize(("layer", "peer"), [(LSTM, nn.LSTM), (GRU, nn.GRU)])
def test_exported_drop_in_equals_torch_nn_at_sizes_never_traced(layer, peer, with_lengths):
    drop_in, expected, B, T = layer(5, 6, 2, bidirectional=True), peer(5, 6, 2, bidirectional=True), Dim("B"), Dim("T")
    drop_in.load_state_dict(expected.state_dict())

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = drop_in

        def forward(self, x, lengths=None):
            return self.layer(x, lengths=lengths)[0]

    lengths = torch.tensor([7, 3, 0]) if with_lengths else None
    program = export(Model(), (torch.randn(7, 3, 5), lengths), ({0: T, 1: B}, {0: B} if with_lengths else None), False)
    assert operators_of(program.graph) == ["ostinato.recurrent.default"]
    for batch_size, steps in SIZES:
        x, lengths = (
            torch.randn(steps, batch_size, 5),
            torch.randint(0, steps + 1, (batch_size,)) if with_lengths else None,
        )
        outputs = program.module()(x, lengths)
        for b, length in enumerate(lengths if with_lengths else [steps] * batch_size):
            assert not outputs[length:, b].any()
            if length:
                torch.testing.assert_close(outputs[:length, b], expected(x[:length, b])[0])


# ---- the drop-ins ----------------------------------------------------------------------------------------------------


class Tagger(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, lengths=None):
        return self.layer(x, lengths=lengths)[0], self.layer(x.relu())[1]


@pytest.mark.parametrize("strict", [True, False])
def test_exported_drop_in_equals_eager(strict):
    model, B, T = Tagger(GRU(5, 6, batch_first=True)), Dim("B"), Dim("T")
    program = export(model, (torch.randn(3, 7, 5), torch.tensor([7, 3, 0])), ({0: B, 1: T}, {0: B}), strict)
    for batch_size, steps in SIZES:
        x, lengths = torch.randn(batch_size, steps, 5), torch.randint(0, steps + 1, (batch_size,))
        assert_same(program.module()(x, lengths), model(x, lengths))


def test_compiled_drop_in_is_one_graph_when_dynamo_allows_recurrent_layers():
    model, counter = Tagger(GRU(5, 6, batch_first=True)), torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    with torch._dynamo.config.patch(allow_rnn=True):  # otherwise it refuses torch.nn.GRU and every subclass
        compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=counter)
        for batch_size, steps in SIZES[:3]:
            x, lengths = torch.randn(batch_size, steps, 5), torch.randint(0, steps + 1, (batch_size,))
            assert_same(run(compiled, model, x, lengths), run(model, model, x, lengths))
        assert [len(operators_of(graph.graph)) for graph in counter.graphs if len(graph.graph.nodes)] == [2]


# ---- dispatch modes and tensor subclasses ----------------------------------------------------------------------------


class Recorder(TorchDispatchMode):
    """Records the names of our operators that run under it, and their numbers of results."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        results = function(*args, **(kwargs or {}))
        if "ostinato" in str(function):
            self.seen.append((str(function), len(results)))
        return results


def test_a_dispatch_mode_sees_forward_and_backward():
    stack, x = Stack("lstm"), torch.randn(3, 7, 5)
    expected = run(stack, stack, x)
    with Recorder() as recorder:
        ours = run(stack, stack, x)
    assert_same(ours, expected)
    assert recorder.seen == [
        ("ostinato.recurrent.default", 4),
        ("ostinato.recurrent_backward.default", 1 + len(stack.weights)),
    ]


def test_unneeded_gradients_are_not_computed():
    stack = Stack("gru", num_layers=1, bidirectional=False)
    stack.weights[0].requires_grad_(False)
    with Recorder() as recorder:
        stack(torch.randn(3, 7, 5))[0].sum().backward()
    assert recorder.seen[-1] == (
        "ostinato.recurrent_backward.default",
        3,
    )  # weight_hh and the biases; neither x nor weight_ih


def test_tensors_without_memory_are_not_read():
    layer = LSTM(5, 6, batch_first=True)
    fake = FakeTensorMode(allow_non_fake_inputs=True).from_tensor(torch.randn(3, 4, 5))
    assert isinstance(layer(fake)[0], FakeTensor) and layer(fake)[0].shape == (3, 4, 6)  # outside of its mode
    first, second = torch.randn(3, 4, 5), torch.randn(3, 4, 5)
    both = layer(TwoTensor(first, second))[0]
    assert_same([both.a, both.b], [layer(first)[0], layer(second)[0]])


def test_a_saved_program_loads_where_only_ostinato_nn_was_imported(tmp_path):
    stack, x = Stack("gru"), torch.randn(3, 7, 5)
    torch.export.save(torch.export.export(stack, (x,), strict=False), tmp_path / "program.pt2")
    torch.save({"x": x, "y": stack(x)[0].detach()}, tmp_path / "expected.pt")
    program = """
import sys, torch, ostinato.nn
expected = torch.load(sys.argv[1] + "/expected.pt")
loaded = torch.export.load(sys.argv[1] + "/program.pt2").module()
assert torch.equal(loaded(expected["x"])[0], expected["y"])
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
