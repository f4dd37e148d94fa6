"""The blocked logistic loss against the sum written out, forward and backward."""

import pytest
import torch
from torch.nn.functional import logsigmoid

from ostinato.nn.context_loss import ROWS, context_loss
from ostinato.nn.contexts import neighbours, region

V, E = 12, 5


def problem(are_sets, count, dtype=torch.float64):
    torch.manual_seed(count)
    ids, lengths = torch.randint(V, (count,)), torch.tensor([count - 3, 3])
    importance = torch.rand(V) + 0.1
    targets = region(ids, lengths, 2, 4, importance) if are_sets else neighbours(ids, lengths, 3, importance)
    targets = targets._replace(weights=targets.weights.to(dtype))
    tensors = [torch.randn(*size, dtype=dtype, requires_grad=True) for size in ((count, E), (V, E), (V,))]
    drawn = torch.tensor([7, 0, 3, 5])
    return tensors, targets, drawn, torch.rand(len(drawn), dtype=dtype)


def written_out(vectors, table, bias, targets, drawn, shares):
    total = vectors.new_zeros(())
    for row, vector in enumerate(vectors):
        present = [(int(k), w) for k, w in zip(targets.ids[row], targets.weights[row], strict=True) if w > 0]
        for token, weight in present:
            total = total - weight * logsigmoid(vector @ table[token] + bias[token])
        for token, share in zip(drawn.tolist(), shares, strict=True):
            if targets.are_sets and token in dict(present):
                continue
            total = total - sum(w for _, w in present) * share * logsigmoid(-(vector @ table[token] + bias[token]))
    return total


@pytest.mark.parametrize("are_sets", [False, True])
@pytest.mark.parametrize("count", [8, ROWS, 2 * ROWS + 7])
def test_loss_and_gradient_are_those_of_the_sum_written_out(are_sets, count):
    tensors, targets, drawn, shares = problem(are_sets, count)
    expected = written_out(*tensors, targets, drawn, shares)
    gradients = torch.autograd.grad(expected, tensors)
    found = context_loss(*tensors, targets, drawn, shares)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    for own, other in zip(torch.autograd.grad(3 * found, tensors), gradients, strict=True):
        assert torch.allclose(own, 3 * other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("are_sets", [False, True])
def test_gradcheck(are_sets):
    tensors, *rest = problem(are_sets, 9)
    assert torch.autograd.gradcheck(lambda *each: context_loss(*each, *rest), tensors)


def test_without_a_gradient_the_loss_has_the_same_bits():
    tensors, *rest = problem(False, 300, torch.float32)
    with torch.inference_mode():
        plain = context_loss(*tensors, *rest)
    assert torch.equal(plain, context_loss(*tensors, *rest).detach())


def test_large_logits_give_finite_losses_and_gradients():
    tensors, *rest = problem(True, 20, torch.float32)
    tensors[0].data.mul_(1e4)
    loss = context_loss(*tensors, *rest)
    assert torch.isfinite(loss)
    assert all(torch.isfinite(each).all() for each in torch.autograd.grad(loss, tensors))
