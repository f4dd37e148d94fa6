"""Drop-ins against torch.nn, forward and backward; with lengths, against each sequence alone."""

import copy
import io
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence
from torch.utils.checkpoint import checkpoint

from ostinato import nn as ours
from ostinato.errors import ConfigError
from ostinato.nn import use_engine

LAYERS, CELLS = ("RNN", "LSTM", "GRU"), ("RNNCell", "LSTMCell", "GRUCell")
D, H, B, T = 5, 7, 4, 6
ENGINES = ["native", "reference", "torch"]

layers = st.fixed_dictionaries(
    {
        "num_layers": st.integers(1, 3),
        "bidirectional": st.booleans(),
        "bias": st.booleans(),
        "batch_first": st.booleans(),
        "dropout": st.sampled_from([0.0, 0.4]),
    }
)
checks = settings(max_examples=60, deadline=None, derandomize=True)


def tensors_of(nest):
    if isinstance(nest, torch.Tensor):
        return [nest] if nest.is_floating_point() else []
    return [tensor for part in nest if part is not None for tensor in tensors_of(part)]


def pair(kind, *sizes, **options):
    if options.get("num_layers") == 1:
        options = {**options, "dropout": 0.0}
    peer, layer = getattr(nn, kind)(*sizes, **options), getattr(ours, kind)(*sizes, **options)
    layer.load_state_dict(peer.state_dict())
    return peer, layer


def rows(module):
    return module.num_layers * (2 if module.bidirectional else 1)


def start(kind, *shape):
    return (torch.randn(shape), torch.randn(shape)) if kind.startswith("LSTM") else torch.randn(shape)


def results(module, x, hx, arrange=lambda x: x, **options):
    """Outputs and states, and the gradients of the input, the initial state and the parameters."""
    x = x.detach().clone().requires_grad_()
    leaves = [part.detach().clone().requires_grad_() for part in tensors_of(hx)] if hx is not None else []
    hx = None if hx is None else tuple(leaves) if isinstance(hx, tuple) else leaves[0]
    torch.manual_seed(3)  # the masks of dropout
    outputs = tensors_of(module(arrange(x), hx, **options))
    torch.manual_seed(4)
    leaves = [x, *leaves, *module.parameters()]
    loss = (
        sum((output * torch.randn(output.shape)).sum() for output in outputs) + sum(leaf.sum() for leaf in leaves) * 0
    )  # so that every leaf has a gradient
    return [*outputs, *torch.autograd.grad(loss, leaves)]


def assert_same(mine, theirs):
    for a, b in zip(mine, theirs, strict=True):
        assert a.shape == b.shape
        assert (a - b).norm() <= 1e-5 * b.norm()


@checks
@given(
    st.sampled_from(LAYERS),
    layers,
    st.sampled_from(["padded", "unbatched", "sorted", "unsorted"]),
    st.booleans(),
    st.sampled_from(ENGINES),
    st.randoms(),
)
def test_layers_equal_torch_nn_forward_and_backward(kind, options, form, with_hx, engine, random):
    peer, layer = pair(kind, D, H, **options)
    lengths = torch.tensor([random.randint(1, T) for _ in range(B)])
    if form == "sorted":
        lengths = lengths.sort(descending=True)[0]
    x = torch.randn(*(T, D) if form == "unbatched" else (B, T, D) if layer.batch_first else (T, B, D))
    hx = start(kind, rows(layer), *([] if form == "unbatched" else [B]), H) if with_hx else None

    def arrange(x):
        return (
            pack_padded_sequence(x, lengths, layer.batch_first, enforce_sorted=form == "sorted")
            if "sorted" in form
            else x
        )

    with use_engine(engine):
        mine = results(layer, x, hx, arrange)
    assert_same(mine, results(peer, x, hx, arrange))


@checks
@given(
    st.sampled_from(LAYERS),
    layers,
    st.lists(st.integers(0, T), min_size=1, max_size=5),
    st.booleans(),
    st.sampled_from(ENGINES),
)
def test_lengths_give_the_results_of_each_sequence_alone(kind, options, lengths, with_hx, engine):
    peer, layer = pair(kind, D, H, **{**options, "dropout": 0.0})
    batch_dim = 0 if layer.batch_first else 1
    x = torch.randn(len(lengths), T, D)
    hx = start(kind, rows(layer), len(lengths), H)
    if not with_hx:
        hx = tuple(torch.zeros_like(part) for part in hx) if kind == "LSTM" else torch.zeros_like(hx)

    def alone(x, hx):
        outputs, finals = [], []
        for b, length in enumerate(lengths):
            own = [part[:, b] for part in (hx if kind == "LSTM" else [hx])]
            output = x.new_zeros(0, H * (2 if layer.bidirectional else 1))
            if length:
                output, final = peer(x.select(batch_dim, b)[:length], tuple(own) if kind == "LSTM" else own[0])
                own = tensors_of(final)
            outputs.append(nn.functional.pad(output, (0, 0, 0, T - length)))
            finals.append(own)
        return torch.stack(outputs, batch_dim), [torch.stack(parts, 1) for parts in zip(*finals, strict=True)]

    alone.parameters = peer.parameters
    x = x if layer.batch_first else x.transpose(0, 1)
    with use_engine(engine):
        mine = results(layer, x, hx, lengths=lengths)
        bare = tensors_of(layer(x, None if not with_hx else hx, lengths=lengths))
    theirs = results(alone, x, hx)
    assert_same(mine, theirs)
    assert_same(bare, theirs[: len(bare)])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", LAYERS)
def test_values_in_padding_are_ignored(kind, engine):
    layer = getattr(ours, kind)(D, H, num_layers=2, bidirectional=True)
    x = torch.randn(T, 3, D)
    broken = x.clone()
    broken[2:, 0] = torch.nan
    with use_engine(engine):
        assert_same(results(layer, broken, None, lengths=[2, T, 0]), results(layer, x, None, lengths=[2, T, 0]))


@pytest.mark.parametrize(
    "lengths",
    [[3, 0, 6], torch.tensor([3, 0, 6], dtype=torch.int32), torch.tensor([3, 0, 6], dtype=torch.uint8), (3, 0, 6)],
)
def test_lengths_are_accepted_in_any_integer_form(lengths):
    layer, x = ours.GRU(D, H, batch_first=True), torch.randn(3, T, D)
    assert torch.equal(layer(x, lengths=lengths)[0], layer(x, lengths=torch.tensor([3, 0, 6]))[0])


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([7, 0, 0], r"lengths\[0\] is 7.* 6"),
        ([0, 0, -1], r"lengths\[2\] is -1"),
        ([1, 2], r"\(2,\).* 3 "),
        ([1.5, 2.0, 3.0], "float32"),
        (torch.tensor([True, True, False]), "bool"),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_mismatched_lengths_are_refused(lengths, message, engine):
    with use_engine(engine), pytest.raises(ConfigError, match=message):
        ours.LSTM(D, H, batch_first=True)(torch.randn(3, T, D), lengths=lengths)


def test_lengths_without_a_padded_batch_are_refused():
    layer = ours.LSTM(D, H)
    with pytest.raises(ConfigError, match="2 dimensions"):
        layer(torch.randn(T, D), lengths=[T])
    with pytest.raises(ConfigError, match="PackedSequence"):
        layer(pack_padded_sequence(torch.randn(T, 2, D), [T, T]), lengths=[T, T])


@pytest.mark.parametrize("engine", ENGINES)
def test_batches_without_sequences_or_steps_keep_their_shapes(engine):
    layer, hx = ours.GRU(D, H, batch_first=True), torch.randn(1, 3, H)
    with use_engine(engine):
        assert layer(torch.randn(0, T, D))[0].shape == (0, T, H)
        assert layer(torch.randn(0, T, D), lengths=[])[0].shape == (0, T, H)
        outputs, final = layer(torch.randn(3, 0, D), hx, lengths=[0, 0, 0])
    assert outputs.shape == (3, 0, H)
    assert torch.equal(final, hx)


@checks
@given(
    st.sampled_from(CELLS),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["tanh", "relu"]),
    st.sampled_from(["auto", *ENGINES]),
)
def test_cells_equal_torch_nn_forward_and_backward(kind, bias, batched, with_hx, nonlinearity, engine):
    peer, cell = pair(kind, D, H, bias=bias, **({"nonlinearity": nonlinearity} if kind == "RNNCell" else {}))
    batch = [B] if batched else []
    x, hx = torch.randn(*batch, D), start(kind, *batch, H) if with_hx else None
    with use_engine(engine):
        mine = results(cell, x, hx)
    assert_same(mine, results(peer, x, hx))


def test_relu_layer_equals_torch_nn():
    peer, layer = pair("RNN", D, H, nonlinearity="relu", bidirectional=True)
    x = torch.randn(T, B, D)
    assert_same(results(layer, x, None), results(peer, x, None))


def calls_without_hx():
    return [
        torch.randn(D),
        torch.randn(2, 3, T, D),
        torch.randn(T, B, D + 1),
        torch.randn(T, B, D).double(),
        torch.randn(0, B, D),
    ]


@pytest.mark.parametrize("kind", LAYERS)
def test_invalid_calls_raise_the_error_of_torch_nn(kind):
    peer, layer = pair(kind, D, H, num_layers=2)
    wrong = [(x,) for x in calls_without_hx()]
    wrong += [
        (torch.randn(T, B, D), start(kind, 2, B + 1, H)),
        (torch.randn(T, B, D), start(kind, 2, H)),
        (torch.randn(T, D), start(kind, 2, 1, H)),
    ]
    wrong += [
        (PackedSequence(torch.randn(3, D + 1), torch.tensor([2, 1])),),
        (PackedSequence(torch.randn(1, 3, D), torch.tensor([1])),),
    ]
    for call in wrong:
        with pytest.raises((ValueError, RuntimeError)) as theirs:
            peer(*call)
        with pytest.raises(theirs.type) as mine:
            layer(*call)
        assert str(mine.value) == str(theirs.value)


@pytest.mark.parametrize("kind", CELLS)
def test_invalid_calls_of_a_cell_raise_the_error_of_torch_nn(kind):
    peer, cell = pair(kind, D, H)
    for call in [
        (torch.randn(1, B, D),),
        (torch.randn(B, D + 1),),
        (torch.randn(B, D), start(kind, B + 1, H)),
        (torch.randn(B, D), start(kind, B, H + 1)),
    ]:
        with pytest.raises((ValueError, RuntimeError)) as theirs:
            peer(*call)
        with pytest.raises(theirs.type) as mine:
            cell(*call)
        assert str(mine.value) == str(theirs.value)


@pytest.mark.parametrize("kind", LAYERS)
def test_state_dicts_fit_both_ways(kind):
    peer, layer = pair(kind, D, H, num_layers=2, bidirectional=True, bias=False)
    with torch.no_grad():
        layer.weight_hh_l1.add_(1)
    peer.load_state_dict(layer.state_dict())
    x = torch.randn(T, B, D)
    torch.testing.assert_close(layer(x)[0], peer(x)[0])


@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_copies_pickles_and_saved_modules_give_the_same_outputs(kind):
    layer, x = getattr(ours, kind)(D, H), torch.randn(B, D)
    stored = io.BytesIO()
    torch.save(layer, stored)
    stored.seek(0)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), torch.load(stored, weights_only=False)):
        assert type(twin) is type(layer)
        assert torch.equal(tensors_of(twin(x))[0], tensors_of(layer(x))[0])


def test_hooks_run_and_may_change_the_call():
    layer, seen = ours.GRU(D, H), []
    x = torch.randn(T, B, D)
    expected = layer(2 * x)[0]
    layer.register_forward_pre_hook(lambda _, args: (2 * args[0],))
    layer.register_forward_hook(lambda *_: seen.append("forward"))
    layer.register_full_backward_hook(lambda *_: seen.append("backward"))
    outputs = layer(x.requires_grad_())[0]
    outputs.sum().backward()
    assert torch.equal(outputs, expected)
    assert seen == ["forward", "backward"]


def test_weights_are_read_at_each_call():
    peer, layer = pair("LSTM", D, H)
    x = torch.randn(T, B, D)
    doubled = {name: 2 * parameter for name, parameter in layer.named_parameters()}
    torch.testing.assert_close(
        torch.func.functional_call(layer, doubled, x)[0], torch.func.functional_call(peer, doubled, x)[0]
    )
    for module in (layer, peer):
        nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
    with torch.no_grad():
        for module in (layer, peer):
            module.parametrizations.weight_hh_l0.original0.mul_(3)
    assert_same(results(layer, x, None), results(peer, x, None))
    parametrize.remove_parametrizations(layer, "weight_hh_l0")
    assert type(layer) is ours.LSTM
    torch.testing.assert_close(layer(x)[0], peer(x)[0])


def test_non_contiguous_input_gives_the_same_outputs():
    peer, layer = pair("GRU", D, H, batch_first=True)
    x = torch.randn(D, T, B).permute(2, 1, 0)
    hx = torch.randn(B, H, 1).permute(2, 0, 1)
    torch.testing.assert_close(layer(x, hx)[0], peer(x, hx)[0])


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_layers_give_the_same_outputs_without_gradients(mode):
    layer, x = ours.LSTM(D, H, num_layers=2), torch.randn(T, B, D)
    with mode():
        outputs = layer(x)[0]
        packed = layer(pack_padded_sequence(x, [T] * B))[0].data
    assert not outputs.requires_grad
    torch.testing.assert_close(outputs, layer(x)[0].detach())
    torch.testing.assert_close(packed.view(T, B, H), outputs)


def test_checkpointed_layer_has_the_same_gradients():
    layer, x = ours.LSTM(D, H, num_layers=2, dropout=0.5), torch.randn(T, B, D)
    expected = results(layer, x, None)

    class Checkpointed(nn.Module):
        def forward(self, x, hx):
            return checkpoint(layer, x, hx, use_reentrant=False)

    again = Checkpointed()
    again.inner = layer
    assert_same(results(again, x, None), expected)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_projections_run_as_torch_nn_and_take_lengths(engine):
    peer, layer = pair("LSTM", D, H, proj_size=3, bidirectional=True, batch_first=True)
    x, lengths = torch.randn(B, T, D), [2, T, 0, 1]
    with use_engine(engine):
        outputs, (h, c) = layer(x, lengths=lengths)
    assert_same(results(layer, x, None), results(peer, x, None))
    expected, (h_alone, c_alone) = peer(x[:1, :2])
    torch.testing.assert_close(outputs[:1, :2], expected)
    torch.testing.assert_close((h[:, :1], c[:, :1]), (h_alone, c_alone))
    assert not outputs[0, 2:].any() and not outputs[2].any() and not h[:, 2].any()


def test_double_precision_takes_lengths_and_agrees_with_float32():
    layer, x = ours.GRU(D, H, num_layers=2, bidirectional=True), torch.randn(T, 3, D)
    single = results(layer, x, None, lengths=[2, 0, T])
    double = results(layer.double(), x.double(), None, lengths=[2, 0, T])
    assert double[0].dtype is torch.float64
    # the loss draws other random factors in float64, so this compares outputs only
    torch.testing.assert_close(single[0].double(), double[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_autocast_runs_as_torch_nn(kind):
    peer, layer = pair(kind, D, H)
    x = torch.randn(T, B, D)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        try:
            expected = peer(x)[0]
        except RuntimeError as error:  # of oneDNN, on processors with AVX2 only
            pytest.skip(f"torch.nn.{kind} itself does not run in bfloat16 on this processor: {error}")
        assert torch.equal(layer(x)[0], expected)
        with use_engine("native"), pytest.raises(ConfigError, match="autocast.*bfloat16"):
            layer(x)


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_traced_layer_runs_at_other_lengths():
    layer, x = ours.GRU(D, H), torch.randn(T, B, D)
    traced = torch.jit.trace(layer, x)
    other = torch.randn(T + 3, B + 1, D)
    torch.testing.assert_close(traced(other)[0], layer(other)[0])


def test_gradients_by_torch_func_equal_those_by_backward():
    layer, x = ours.GRU(D, H), torch.randn(T, B, D)
    parameters = dict(layer.named_parameters())
    gradients = torch.func.grad(lambda p: torch.func.functional_call(layer, p, x)[0].sum())(parameters)
    layer(x)[0].sum().backward()
    for name, parameter in parameters.items():
        torch.testing.assert_close(gradients[name].detach(), parameter.grad, rtol=1e-4, atol=1e-5)


def test_forcing_native_where_it_cannot_run_is_an_error():
    x = torch.randn(T, B, D)
    with use_engine("native"):
        with pytest.raises(ConfigError, match="float64"):
            ours.LSTM(D, H).double()(x.double())
        with pytest.raises(ConfigError, match="proj_size is 3"):
            ours.LSTM(D, H, proj_size=3)(x)
        with pytest.raises(ConfigError, match="float64"):
            ours.GRUCell(D, H).double()(x[0].double())


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_layers_work_without_a_built_kernel(engine, monkeypatch):
    monkeypatch.setattr("ostinato.nn.engines.why_unavailable", lambda: "it was not compiled")
    peer, layer = pair("LSTM", D, H, bidirectional=True)
    x = torch.randn(T, B, D)
    with use_engine(engine):
        torch.testing.assert_close(layer(x)[0], peer(x)[0])
        torch.testing.assert_close(layer(x, lengths=[T] * B)[0], peer(x)[0])
    with use_engine("native"), pytest.raises(ConfigError, match="not compiled"):
        layer(x)


def test_the_reference_differentiates_twice():
    layer = ours.GRU(2, 3, bidirectional=True).double()
    x = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)
    with use_engine("reference"):
        assert torch.autograd.gradgradcheck(lambda x: layer(x, lengths=[4, 2])[0], x)


def test_compiled_layers_give_the_same_outputs():
    layer, x = ours.LSTM(D, H, num_layers=2), torch.randn(T, B, D)
    compiled = torch.compile(layer, backend="eager")
    for options in ({}, {"lengths": torch.tensor([3, 0, T, 1])}):
        torch.testing.assert_close(compiled(x, **options)[0], layer(x, **options)[0])
