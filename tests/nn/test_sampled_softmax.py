"""The sampled softmax: equal to the whole one if all tokens are sampled, and its gradient is right."""

import pytest
import torch
from torch.nn import functional as F

from ostinato.nn import sampled_softmax, use_engine
from ostinato.nn.sampled_softmax import softmax_loss, token_losses

n, V, E = 23, 9, 4


@pytest.fixture(params=[512, 5], ids=["one block", "blocks of 5"])
def inputs(request, monkeypatch):
    monkeypatch.setattr(sampled_softmax, "ROWS", request.param)
    shapes = ((n, E), (V, E), (V,))
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes], torch.randint(V, (n,))


def gradients(loss, leaves):
    return torch.autograd.grad(loss, leaves)


@pytest.mark.parametrize("is_sampled", [False, True])
def test_with_all_tokens_it_is_the_softmax_of_torch(inputs, is_sampled):
    (vectors, table, bias), targets = inputs
    expected = F.cross_entropy(vectors @ table.T + bias, targets, reduction="sum")
    sample = (torch.randperm(V), torch.zeros(V, dtype=torch.float64)) if is_sampled else ()
    found = softmax_loss(vectors, table, bias, targets, *sample)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    for ours, theirs in zip(gradients(found, inputs[0]), gradients(expected, inputs[0]), strict=True):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)
    assert torch.allclose(token_losses(vectors, table, bias, targets).sum(), expected)


def test_a_sample_is_corrected_and_leaves_out_each_row_s_own_target(inputs):
    (vectors, table, bias), targets = inputs
    negatives, log_expected = torch.tensor([3, 3, 0, 7]), torch.tensor([0.4, 0.4, -1.0, 0.2], dtype=torch.float64)
    expected = 0.0
    for vector, target in zip(vectors, targets, strict=True):
        own = vector @ table[target] + bias[target]
        others = [vector @ table[k] + bias[k] - c for k, c in zip(negatives, log_expected, strict=True) if k != target]
        expected = expected + torch.stack([own, *others]).logsumexp(0) - own
    found = softmax_loss(vectors, table, bias, targets, negatives, log_expected)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    for ours, theirs in zip(gradients(found, inputs[0]), gradients(expected, inputs[0]), strict=True):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)


def test_gradient_is_that_of_finite_differences(inputs):
    leaves, targets = inputs
    negatives, log_expected = torch.tensor([1, 5, 5]), torch.tensor([0.1, 0.7, 0.7], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *x: softmax_loss(*x, targets), leaves)
    assert torch.autograd.gradcheck(lambda *x: softmax_loss(*x, targets, negatives, log_expected), leaves)


@pytest.mark.parametrize("is_sampled", [False, True])
def test_the_kernel_and_pytorch_agree_forward_and_backward(is_sampled):
    leaves = [torch.randn(shape, requires_grad=True) for shape in ((n, E), (V, E), (V,))]
    targets, sample = torch.randint(V, (n,)), (torch.tensor([3, 3, 0, 7]), torch.tensor([0.4, 0.4, -1.0, 0.2]))
    found = softmax_loss(*leaves, targets, *(sample if is_sampled else ()))
    with use_engine("torch"):
        expected = softmax_loss(*leaves, targets, *(sample if is_sampled else ()))
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    for ours, theirs in zip(gradients(3 * found, leaves), gradients(3 * expected, leaves), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_the_gradient_of_a_retained_graph_is_the_same_again():
    leaves = [torch.randn(shape, requires_grad=True) for shape in ((n, E), (V, E), (V,))]
    loss = softmax_loss(*leaves, torch.randint(V, (n,)))
    first = torch.autograd.grad(loss, leaves, retain_graph=True)
    assert all(map(torch.equal, gradients(loss, leaves), first))


def test_many_samples_estimate_the_softmax():
    vectors, table, bias = torch.randn(200, E), torch.randn(V, E), torch.randn(V)
    targets = torch.randint(V, (200,))
    q = torch.rand(V).softmax(0)
    negatives = torch.multinomial(q, 200_000, replacement=True)
    log_expected = (q[negatives] * len(negatives)).log()
    found = softmax_loss(vectors, table, bias, targets, negatives, log_expected)
    assert found.item() == pytest.approx(softmax_loss(vectors, table, bias, targets).item(), rel=0.01)
