"""A sequence read in pieces against the same sequence read whole, on both engines."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.nn import (
    POOLINGS,
    Cell,
    ConvolutionStack,
    ConvStem,
    Layout,
    Linear,
    Pooling,
    PositionEmbedding,
    RecurrentStack,
    SequenceNetwork,
    TokenEmbedding,
    kernel,
    register_cell,
    streaming,
    use_engine,
)

T = 23
SCANS = ("mingru", "minlstm", "mingru_signed", "minlstm_signed", "rglru", "lru")
NATIVE = ("rnn_tanh", "rnn_relu", "lstm", "gru", "lnlstm", "slstm", *SCANS, "cnn")
needs_kernel = pytest.mark.skipif(not kernel.is_built(), reason="the kernel was not compiled")


class Plain(SequenceNetwork):
    """A network whose answers are its outputs."""

    def explained(self, outputs, targets):
        return outputs.gather(1, targets.unsqueeze(1)).squeeze(1)

    def chosen(self, outputs):
        return outputs.argmax(1)

    def answers(self, outputs):
        return outputs


def network_of(cell, *, layers=2, poolings=tuple(POOLINGS), position=None, stem=None, channels=None, **between):
    size, hidden = 5, 7
    embed = TokenEmbedding(11, size) if channels is None else Linear(channels, size)
    conv_stem = None if stem is None else ConvStem(size, 6, kernel_size=3, centred=False, pool=stem)
    inputs = size if stem is None else 6
    if cell == "cnn":
        stack = ConvolutionStack(inputs, hidden, kernel_size=4, centred=False, num_layers=layers, **between)
    else:
        stack = RecurrentStack(inputs, hidden, cell=cell, num_layers=layers, **between)
    network = Plain(
        embed=embed,
        position=PositionEmbedding(size, kind=position, num_positions=9) if position else None,
        conv_stem=conv_stem,
        stack=stack,
        pooling=Pooling(poolings, stack.output_size),
        num_outputs=3,
        dropout=0.0,
    )
    for norm in stack.norms:  # else a norm is the identity but for its shift and scale
        if hasattr(norm, "weight"):
            torch.nn.init.normal_(norm.weight)
    return network.eval()


def inputs_of(network, steps=T):
    return torch.randint(0, 11, (steps,)) if network.channels is None else torch.randn(steps, network.channels)


@torch.inference_mode()
def whole_outputs(network, values):
    """The output of every prefix, each read whole beside others of other lengths."""
    lengths = range(1, T + 1)
    return torch.cat([network(torch.cat([values, values[:end]]), torch.tensor([T, end]))[1:] for end in lengths])


@torch.inference_mode()
def outputs_in_pieces(network, values, cuts):
    """The output after each piece."""
    state, found = streaming.start(network), []
    for begin, end in zip([0, *cuts], [*cuts, len(values)], strict=True):
        state = streaming.read(network, state, values[begin:end])
        found.append(streaming.output(network, state))
    return torch.cat(found)


def assert_pieces_are_the_whole(network, cuts, tolerance=0.0):
    values = inputs_of(network)
    whole = whole_outputs(network, values)
    ends = torch.tensor([*cuts, T]) - 1
    pieces = outputs_in_pieces(network, values, cuts)
    if tolerance:
        torch.testing.assert_close(pieces, whole[ends], rtol=tolerance, atol=tolerance)
    else:
        assert torch.equal(pieces, whole[ends])


some_cuts = st.lists(st.integers(1, T), max_size=8).map(sorted)


@needs_kernel
@pytest.mark.parametrize("cell", NATIVE)
@settings(max_examples=12, deadline=None)
@given(
    cuts=some_cuts,
    between=st.sampled_from([{}, {"residual": True, "layer_norm": True}]),
    position=st.sampled_from([None, "learned", "sinusoidal"]),
    channels=st.sampled_from([None, 2]),
)
def test_pieces_have_the_bits_of_the_whole_on_the_native_engine(cell, cuts, between, position, channels):
    assert_pieces_are_the_whole(network_of(cell, position=position, channels=channels, **between), cuts)


@needs_kernel
@pytest.mark.parametrize("pool", [1, 2, 5])
@settings(max_examples=12, deadline=None)
@given(cuts=some_cuts)
def test_a_convolution_before_the_stack_has_the_bits_of_the_whole(pool, cuts):
    assert_pieces_are_the_whole(network_of("gru", stem=pool), cuts)


@needs_kernel
@pytest.mark.parametrize("size", [1, 16, 17, 80])
def test_attention_has_the_bits_of_the_whole_at_any_size_and_after_large_scores(size):
    pooling = Pooling(["attention"], size)
    pooling.poolings["attention"].score.weight.data *= 40  # so that the largest score moves, and others vanish
    h = torch.randn(200, size)
    with torch.inference_mode():
        whole = pooling(torch.cat([torch.randn(3, size), h]), Layout(torch.tensor([3, 200])))[1:]
        one = pooling.poolings["attention"]
        state = one.start(h)
        for piece in h.split([1, 2, 60, 1, 136]):
            state = one.add(state, piece)
        assert torch.equal(one.so_far(state, 200), whole)
        exact = pooling.double()(h.double(), Layout(torch.tensor([200])))
    torch.testing.assert_close(whole, exact.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cell", NATIVE)
def test_pieces_are_the_whole_on_the_torch_engine(cell):
    network = network_of(cell, residual=True, position="learned", stem=None if cell == "cnn" else 2)
    with use_engine("torch"):
        assert_pieces_are_the_whole(network, [1, 2, 9], tolerance=1e-5)


def test_a_registered_cell_with_three_states_streams():
    def step(x, state, weights):
        h, fast, slow = state
        fast = 0.5 * fast + x @ weights.weight_ih.T + weights.bias_ih
        slow = 0.9 * slow + 0.1 * fast
        return torch.tanh(fast - slow + h @ weights.weight_hh.T + weights.bias_hh), fast, slow

    register_cell("three_states", Cell("three_states", gates=1, states=3, step=step))
    assert_pieces_are_the_whole(network_of("three_states"), [1, 2, 9], tolerance=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "minlstm", "lru", "cnn"])
def test_the_state_does_not_grow(cell):
    network = network_of(cell, stem=None if cell == "cnn" else 3, position="sinusoidal")
    with torch.inference_mode():
        start = streaming.start(network)
        after = streaming.read(network, start, inputs_of(network, 500))
    shapes = {name: tensor.shape for name, tensor in start.tensors.items()}
    assert {name: tensor.shape for name, tensor in after.tensors.items()} == shapes
    assert all(tensor.untyped_storage().nbytes() < 4_000 for tensor in after.tensors.values())


def test_reading_does_not_change_the_state_that_it_starts_from():
    network = network_of("lstm", stem=2)
    values = inputs_of(network)
    with torch.inference_mode():
        state = streaming.read(network, streaming.start(network), values[:5])
        before = {name: tensor.clone() for name, tensor in state.tensors.items()}
        streaming.output(network, state)
        streaming.read(network, state, values[5:])
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.tensors.items())


def test_nothing_read_gives_the_output_of_an_empty_sequence():
    network = network_of("gru", stem=2)
    with torch.inference_mode():
        empty = network(torch.zeros(0, dtype=torch.int64), torch.tensor([0]))
        assert torch.equal(streaming.output(network, streaming.start(network)), empty)


def test_what_sees_later_steps_reads_ahead():
    assert not streaming.reads_ahead(network_of("lstm", stem=2))
    assert streaming.reads_ahead(network_of("lstm", bidirectional=True))
    centred = network_of("cnn")
    centred.stack.layers[1].centred = True
    assert streaming.reads_ahead(centred)
    centred_stem = network_of("lstm", stem=1)
    centred_stem.conv_stem.convolution.centred = True
    assert streaming.reads_ahead(centred_stem)
