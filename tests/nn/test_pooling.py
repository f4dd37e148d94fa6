"""Poolings against values computed by hand and against each sequence pooled alone."""

import pytest
import torch

from ostinato.errors import ConfigError
from ostinato.nn import (
    POOLINGS,
    AttentionPooling,
    LastPooling,
    Layout,
    MaxPooling,
    MeanPooling,
    Pooling,
    RecurrentLayer,
    use_engine,
)


def test_mean_divides_by_the_length_of_the_sequence():
    h = torch.tensor([[2.0], [4.0], [9.0]])
    assert MeanPooling(1)(h, Layout(torch.tensor([2, 1]))).tolist() == [[3.0], [9.0]]


def test_max_of_negative_values_is_negative():
    h = torch.tensor([[-2.0], [-4.0], [-9.0]])
    assert MaxPooling(1)(h, Layout(torch.tensor([2, 1]))).tolist() == [[-2.0], [-9.0]]


def test_last_takes_the_final_state_of_each_direction():
    layer = RecurrentLayer(3, 4, cell="gru", bidirectional=True)
    peer = torch.nn.GRU(3, 4, bidirectional=True, batch_first=True)
    peer.load_state_dict(layer.state_dict())
    lengths = torch.tensor([5, 1, 8])
    values, layout = torch.randn(14, 3), Layout(lengths)
    pooled = LastPooling(8, bidirectional=True)(layer(values, layout), layout)
    for sequence, got in zip(values.split(lengths.tolist()), pooled, strict=True):
        forwards, backwards = peer(sequence.unsqueeze(0))[1].squeeze(1)
        torch.testing.assert_close(got, torch.cat([forwards, backwards]))


def test_attention_weights_are_a_softmax_within_each_sequence():
    pooling, lengths = AttentionPooling(4), torch.tensor([3, 1, 6])
    h, layout = torch.randn(10, 4) * 20, Layout(lengths)
    weights = pooling.weights(h, layout)
    for states, got in zip(h.split(lengths.tolist()), weights.split(lengths.tolist()), strict=True):
        scores = pooling.score(torch.tanh(pooling.project(states))).squeeze(1)
        torch.testing.assert_close(got, scores.softmax(0))


def test_attention_does_not_overflow_on_large_scores():
    pooling = AttentionPooling(2)
    pooling.score.weight.data.fill_(1e4)
    h = torch.randn(6, 2)
    assert torch.isfinite(pooling(h, Layout(torch.tensor([4, 2])))).all()


@pytest.mark.parametrize("name", POOLINGS)
def test_pooling_ignores_batch_mates(name):
    pooling, lengths = Pooling([name], 4), torch.tensor([3, 1, 6])
    h = torch.randn(10, 4)
    together = pooling(h, Layout(lengths))
    alone = [pooling(part, Layout(torch.tensor([len(part)]))) for part in h.split(lengths.tolist())]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("lengths", [[0, 3, 0, 2, 0], [0], []])
def test_empty_sequences_pool_to_zeros_with_finite_gradients(name, lengths):
    pooling = Pooling([name], 4, bidirectional=True)
    h = torch.randn(sum(lengths), 4, requires_grad=True)
    pooled = pooling(h, Layout(torch.tensor(lengths, dtype=torch.int64)))
    assert pooled.shape == (len(lengths), 4)
    assert [bool(row.any()) for row in pooled] == [length > 0 for length in lengths]
    pooled.sum().backward()
    assert torch.isfinite(h.grad).all()


@pytest.mark.parametrize("name", POOLINGS)
def test_pooling_passes_gradcheck(name):
    pooling, layout = Pooling([name], 4, bidirectional=True).double(), Layout(torch.tensor([3, 1, 2]))
    h = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda h: pooling(h, layout), h)


def test_several_poolings_are_concatenated_in_the_given_order():
    h, layout = torch.randn(10, 4), Layout(torch.tensor([4, 6]))
    joined = Pooling(["max", "last", "mean"], 4)(h, layout)
    expected = torch.cat([MaxPooling(4)(h, layout), LastPooling(4)(h, layout), MeanPooling(4)(h, layout)], dim=1)
    assert torch.equal(joined, expected)


def test_unknown_pooling_is_refused():
    with pytest.raises(ConfigError, match="'lst'.*'last'"):
        Pooling(["lst"], 4)


@pytest.mark.parametrize("size", [1, 5, 16, 33, 100])
def test_attention_in_the_kernel_equals_torch_and_its_bits_do_not_depend_on_the_batch(size):
    pooling, lengths = AttentionPooling(size), torch.tensor([3, 0, 70, 1, 16, 17])
    h, layout = torch.randn(107, size) * 5, Layout(lengths)
    with torch.inference_mode():
        pooled = pooling(h, layout)
        with use_engine("torch"):
            torch.testing.assert_close(pooled, pooling(h, layout), rtol=1e-4, atol=1e-5)
        for row, sequence in enumerate(h.split(lengths.tolist())):
            assert torch.equal(pooling(sequence, Layout(lengths[row : row + 1])), pooled[row : row + 1])


def test_attention_in_the_kernel_does_not_overflow():
    pooling = AttentionPooling(2)
    with torch.inference_mode():
        pooling.score.weight.fill_(500.0)
        pooled = pooling(torch.randn(9, 2) * 100, Layout(torch.tensor([4, 5])))
    assert torch.isfinite(pooled).all()


@pytest.mark.parametrize("size", [1, 5, 16, 40, 100, 130])
def test_gradients_of_attention_in_the_kernel_equal_those_in_float64(size):
    lengths, weight = torch.tensor([3, 0, 70, 1, 16, 333]), torch.randn(6, size)
    ours, theirs = AttentionPooling(size), AttentionPooling(size).double()
    theirs.load_state_dict(ours.state_dict())
    h = torch.randn(423, size, requires_grad=True)
    exact = h.detach().double().requires_grad_()
    pooled = ours(h, Layout(lengths))
    (pooled * weight).sum().backward(retain_graph=True)
    first = h.grad.clone()
    h.grad.zero_()
    # not contiguous; and the second backward needs again what the first has overwritten
    pooled.backward(torch.cat([weight, weight], dim=1)[:, :size])
    assert torch.equal(h.grad, first)
    (theirs(exact, Layout(lengths)) * weight).sum().backward()
    for (name, mine), (_, other) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert (mine.grad / 2 - other.grad).norm() <= 2e-6 * other.grad.norm() + 1e-7, name
    assert (h.grad - exact.grad).norm() <= 2e-6 * exact.grad.norm()


@pytest.mark.parametrize("upstream_knows_the_input", [False, True])
def test_attention_in_the_kernel_refuses_a_second_derivative(upstream_knows_the_input):
    pooling, h = AttentionPooling(4), torch.randn(4, 5).T.requires_grad_()
    with use_engine("native"):
        pooled = pooling(h, Layout(torch.tensor([3, 2])))
    (gradient,) = torch.autograd.grad(
        (pooled * pooled if upstream_knows_the_input else pooled).sum(), h, create_graph=True
    )
    with pytest.raises(RuntimeError, match="second derivative"):
        (gradient.square().sum() + pooled.sum()).backward()
