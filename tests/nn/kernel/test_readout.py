"""Stack, pooling and output layer in one call, against the same modules one after another."""

import copy
import pickle

import pytest
import torch
from torch import nn

from ostinato.nn import (
    Pooling,
    RecurrentStack,
    kernel,
    sequence_network,
    use_engine,
    use_precision,
    whole,
    why_not_bfloat16,
)
from ostinato.nn.embedding import TokenEmbedding
from ostinato.nn.kernel.threads import use_threads
from ostinato.tasks.classification.network import Classifier

if not kernel.is_built():
    pytest.skip("the kernel was not compiled", allow_module_level=True)

LENGTHS = [4, 0, 9, 1]
ALL = ["max", "attention", "last", "mean"]
POOLED = [["last"], ["mean"], ["max"], ["attention"], ALL]


def network(pooling, *, cell="gru", bidirectional=True, num_layers=1, dropout=0.0, hidden_size=19):
    torch.manual_seed(0)
    stack = RecurrentStack(5, hidden_size, cell=cell, num_layers=num_layers, bidirectional=bidirectional)
    return Classifier(
        embed=TokenEmbedding(11, 5),
        position=None,
        conv_stem=None,
        stack=stack,
        pooling=Pooling(pooling, stack.output_size, bidirectional=bidirectional),
        num_outputs=3,
        dropout=dropout,
    )


def batch(lengths):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 11, (sum(lengths),), generator=generator), torch.tensor(lengths)


@pytest.fixture
def by_parts(monkeypatch):
    """Calls a function with the modules run one after another."""

    def run(function):
        with monkeypatch.context() as patch:
            patch.setattr(whole.Whole, "run", lambda *inputs: None)
            return function()

    return run


def outputs_and_gradients(net, ids, lengths):
    torch.manual_seed(2)  # of dropout
    net.zero_grad()
    outputs = net(ids, lengths)
    outputs.sin().sum().backward()
    return [outputs.detach(), *(parameter.grad for parameter in net.parameters())]


@pytest.mark.parametrize("pooling", POOLED, ids="+".join)
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_relu"])
def test_outputs_have_the_bits_of_the_parts(variant, cell, pooling, by_parts):
    for bidirectional, num_layers in ((False, 2), (True, 1)):
        net = network(pooling, cell=cell, bidirectional=bidirectional, num_layers=num_layers).eval()
        for lengths in (LENGTHS, [6], [0]):
            with torch.no_grad():
                assert torch.equal(net(*batch(lengths)), by_parts(lambda: net(*batch(lengths))))  # noqa: B023


@pytest.mark.parametrize("pooling", POOLED, ids="+".join)
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradients_are_those_of_the_parts(variant, pooling, dropout, by_parts):
    for bidirectional in (False, True):
        net = network(pooling, bidirectional=bidirectional, dropout=dropout)
        expected = by_parts(lambda: outputs_and_gradients(net, *batch(LENGTHS)))  # noqa: B023
        for got, want in zip(outputs_and_gradients(net, *batch(LENGTHS)), expected, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("pooling", POOLED, ids="+".join)
def test_gradients_are_those_of_the_reference(pooling):
    net = network(pooling, cell="lstm", num_layers=2)
    with use_engine("reference"):
        expected = outputs_and_gradients(net, *batch(LENGTHS))
    for got, want in zip(outputs_and_gradients(net, *batch(LENGTHS)), expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=2e-6)


def test_steps_that_share_the_maximum_share_its_gradient():
    of_max, of_mean = (network([name], cell="rnn_relu", bidirectional=False) for name in ("max", "mean"))
    for net in (of_max, of_mean):
        with torch.no_grad():
            for weight in net.stack.parameters():
                weight.fill_(0.0)
            net.stack.layers[0].bias_ih_l0.fill_(1.0)  # h = 1 at every step: the maximum is the mean
    expected = outputs_and_gradients(of_mean, *batch(LENGTHS))
    for got, want in zip(outputs_and_gradients(of_max, *batch(LENGTHS)), expected, strict=True):
        torch.testing.assert_close(got, want)


def test_batch_mates_do_not_matter():
    net = network(ALL).eval()
    ids, lengths = batch(LENGTHS)
    with torch.no_grad():
        alone = [net(part, torch.tensor([len(part)])) for part in ids.split(LENGTHS)]
        assert torch.equal(net(ids, lengths), torch.cat(alone))


def test_bits_do_not_depend_on_the_number_of_threads():
    net = network(ALL, hidden_size=70)
    ids, lengths = batch([60] * 40)
    of_one, of_three = [], []
    for threads, found in ((1, of_one), (3, of_three)):
        with use_threads(threads):
            found += outputs_and_gradients(net, ids, lengths)
    assert all(map(torch.equal, of_one, of_three))


def test_new_weights_are_seen_however_they_are_changed():
    net = network(ALL).eval()
    other = network(ALL).eval()
    ids, lengths = batch(LENGTHS)
    with torch.no_grad():
        for k, weight in enumerate(other.parameters()):
            weight.add_(0.01 * (k + 1))
        expected = other(ids, lengths)
        assert not torch.equal(net(ids, lengths), expected)
        for k, (weight, wanted) in enumerate(zip(net.parameters(), other.parameters(), strict=True)):
            if k % 2:
                weight.copy_(wanted)
            else:
                weight.data = wanted.data.clone()
        assert torch.equal(net(ids, lengths), expected)
        net.head = nn.Linear(net.head.in_features, 3)
        torch.testing.assert_close(net(ids, lengths), net.outputs(*net.states(ids, sequence_network.Layout(lengths))))


@pytest.mark.parametrize("name", ["stack", "pooling", "pooling.poolings.last", "dropout", "head"])
def test_hooks_of_the_parts_run(name):
    net, seen = network(["last"]).eval(), []
    ids, lengths = batch(LENGTHS)
    with torch.no_grad():
        expected = net(ids, lengths)
        hook = net.get_submodule(name).register_forward_hook(lambda module, inputs, output: seen.append(output))
        assert torch.equal(net(ids, lengths), expected)
        assert len(seen) == 1
        hook.remove()
        net(ids, lengths)
    assert len(seen) == 1


def test_a_forward_that_was_replaced_on_the_object_runs():
    net = network(["mean"]).eval()
    net.head.forward = lambda pooled: pooled * 0
    with torch.no_grad():
        assert not net(*batch(LENGTHS)).any()


def new_pointer(weight):
    weight.data = weight.data * 2


def no_longer_contiguous(weight):
    weight.data = torch.stack([weight.data * 2, weight.data], dim=-1)[..., 0]


CHANGES = {
    "weights in place": lambda net: net.head.weight.data.mul_(2),
    "weights elsewhere": lambda net: new_pointer(net.stack.layers[0].weight_hh_l0),
    "weights with gaps": lambda net: no_longer_contiguous(net.head.weight),
    "another parameter": lambda net: setattr(net.head, "bias", nn.Parameter(net.head.bias * 2 + 1)),
    "another module": lambda net: setattr(net.pooling.poolings.attention, "score", nn.Linear(38, 1, bias=False)),
    "a forward hook": lambda net: net.head.register_forward_hook(lambda module, inputs, output: output * 2),
    "a forward": lambda net: setattr(net.pooling, "forward", lambda *inputs: torch.ones(len(LENGTHS), 152)),
    "residual": lambda net: setattr(net.stack, "residual", True),
    "attention by steps": lambda net: setattr(net.pooling.poolings.attention, "by_step", True),
    "the engine": lambda net: [setattr(layer, "engine", "reference") for layer in net.stack.layers],
    "the dtype": lambda net: net.double(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_prepared_call_is_prepared_again_after_a_change(change, by_parts):
    net = network(ALL, num_layers=2).eval()
    ids, lengths = batch(LENGTHS)
    with torch.no_grad():
        before = net(ids, lengths)
        with torch.random.fork_rng():
            CHANGES[change](net)
        expected = by_parts(lambda: net(ids, lengths))
        found = net(ids, lengths)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    if change not in ("attention by steps", "the engine", "the dtype"):
        assert not torch.allclose(found, before)


def test_a_prepared_call_follows_the_engine_of_its_block_and_the_number_of_sequences():
    net, (ids, lengths) = network(ALL).eval(), batch(LENGTHS)
    with torch.no_grad():
        net(ids[: LENGTHS[0]], lengths[:1])
        expected = net(ids, lengths)
        assert torch.equal(net(ids, lengths), expected)
        with use_engine("reference"):
            slow = net(ids, lengths)
        assert not torch.equal(slow, expected)
        torch.testing.assert_close(slow, expected)


def test_copies_prepare_their_own_calls():
    net, inputs = network(ALL).eval(), batch(LENGTHS)
    with torch.no_grad():
        expected = net(*inputs)
        twin = copy.deepcopy(net)
        net.head.weight.zero_()
        assert torch.equal(twin(*inputs), expected)
        assert torch.equal(pickle.loads(pickle.dumps(twin))(*inputs), expected)


def test_a_graph_can_run_backward_twice():
    net = network(ALL)
    loss = net(*batch(LENGTHS)).sin().sum()
    weights = list(net.parameters())
    first = torch.autograd.grad(loss, weights, retain_graph=True)
    assert all(map(torch.equal, first, torch.autograd.grad(loss, weights)))


def second_derivative(net):
    weights = list(net.parameters())
    first = torch.autograd.grad(net(*batch(LENGTHS)).sin().sum(), weights, create_graph=True)
    return torch.autograd.grad(sum(each.square().sum() for each in first), weights)


def test_second_derivatives_are_those_of_the_reference():
    net = network(["last", "mean"])
    with use_engine("reference"):
        expected = second_derivative(net)
    for got, want in zip(second_derivative(net), expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-5)


def test_a_second_derivative_of_attention_is_refused():
    with pytest.raises(RuntimeError, match="second derivative"):
        second_derivative(network(["attention"]))


def test_frozen_weights_get_no_gradient(by_parts):
    net = network(ALL)
    net.embed.requires_grad_(False)
    net.stack.requires_grad_(False)
    net.head.bias.requires_grad_(False)
    expected = by_parts(lambda: outputs_and_gradients(net, *batch(LENGTHS)))
    for got, want in zip(outputs_and_gradients(net, *batch(LENGTHS)), expected, strict=True):
        assert (got is None) == (want is None)
        torch.testing.assert_close(got, want, rtol=1e-4, atol=2e-6)


def test_a_token_outside_the_table_is_an_error():
    with pytest.raises(IndexError, match="token id"):
        network(["last"])(torch.tensor([0, 11]), torch.tensor([2]))


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh"])
def test_the_whole_call_has_the_precision_of_its_block(variant, cell, by_parts):
    if why_not_bfloat16() is not None:
        pytest.skip(f"no bfloat16 here: {why_not_bfloat16()}")
    net, (ids, lengths) = network(ALL, cell=cell), batch(LENGTHS)
    exact = outputs_and_gradients(net, ids, lengths)
    with use_precision("bfloat16"):
        whole = outputs_and_gradients(net, ids, lengths)
        parts = by_parts(lambda: outputs_and_gradients(net, ids, lengths))
    for ours, theirs in zip(whole, parts, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert not torch.equal(whole[0], exact[0])
    torch.testing.assert_close(whole[0], exact[0], rtol=0, atol=0.05)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh"])
def test_the_whole_call_has_weights_in_int8_in_its_block(variant, cell, by_parts):
    net, (ids, lengths) = network(ALL, cell=cell).eval(), batch(LENGTHS)
    with torch.no_grad():
        exact = net(ids, lengths)
        with use_precision("int8"):
            whole = net(ids, lengths)
            assert torch.equal(whole, by_parts(lambda: net(ids, lengths)))
    assert not torch.equal(whole, exact)
    torch.testing.assert_close(whole, exact, rtol=0, atol=0.02)
