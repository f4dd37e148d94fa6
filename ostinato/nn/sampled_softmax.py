"""The softmax over a large vocabulary, estimated from a sample of it, with its gradient in the same pass."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ostinato.nn import kernel
from ostinato.nn.kernel import SoftmaxGradient
from ostinato.nn.linear import runs_native

ROWS = 512  # of a block: its logits stay in the cache, and memory does not grow with the batch


def softmax_loss(
    vectors: Tensor,
    table: Tensor,
    bias: Tensor,
    targets: Tensor,
    negatives: Tensor | None = None,
    log_expected: Tensor | None = None,
) -> Tensor:
    """The summed negative log-likelihood of the targets, with logits v·wₖ + bₖ.

    Without `negatives`, the softmax is over all tokens. With them, it is over each row's own target and the negatives,
    whose logits are corrected by −log(expected number of draws), so that its gradient estimates that of the whole. A
    negative that is the row's own target is left out.

    The gradient is computed with the loss, block by block, so the logits of a batch are never held in memory together.
    It cannot be differentiated a second time.

    Args:
        vectors: (n, E).
        table: (V, E).
        bias: (V,).
        targets: (n,) int64.
        negatives: (S,) int64 tokens, drawn with replacement and shared by all rows.
        log_expected: (S,) the logarithm of how often each negative is expected in the sample: log(S·q).

    Shapes: -> ().

    Source: Jean et al. (2015), arXiv:1412.2007, section 3; Bengio & Senécal (2008). Here each negative is corrected,
    and the target is always in the sum.
    """
    loss: Tensor = _SoftmaxLoss.apply(vectors, table, bias, targets, negatives, log_expected)  # type: ignore[no-untyped-call]
    return loss


@torch.no_grad()
def token_losses(vectors: Tensor, table: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """The negative log-likelihood of each target under the whole softmax, without a gradient. (n, E) -> (n,)."""
    blocks = zip(torch.split(vectors, ROWS), torch.split(targets, ROWS), strict=True)
    losses = [F.cross_entropy(torch.addmm(bias, rows, table.t()), own, reduction="none") for rows, own in blocks]
    return torch.cat(losses) if losses else vectors.new_zeros(0)


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        vectors: Tensor,
        table: Tensor,
        bias: Tensor,
        targets: Tensor,
        negatives: Tensor | None,
        log_expected: Tensor | None,
    ) -> Tensor:
        tokens: Tensor | None = None
        candidates, shift, left_out = table, bias, targets
        if negatives is not None:
            assert log_expected is not None, "negatives need their expected counts"
            tokens, correction = _once_each(negatives, log_expected)
            candidates, shift = table[tokens], bias[tokens] - correction
            left_out = _positions(tokens, len(table))[targets]
        inputs = (vectors, candidates, shift, table, bias, targets, left_out)
        found = kernel.softmax(*inputs) if runs_native(vectors, table) else softmax_of_blocks(*inputs)
        ctx.shape = table.shape
        ctx.save_for_backward(vectors, targets, tokens, *found[1:])
        return found.losses.double().sum().to(vectors.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        vectors, targets, tokens, d_vectors, d_positive, d_candidates, d_shift = ctx.saved_tensors
        d_candidates, d_shift, d_positive = gradient * d_candidates, gradient * d_shift, gradient * d_positive
        d_table, d_bias = d_candidates, d_shift
        if tokens is not None:
            d_table = vectors.new_zeros(ctx.shape).index_copy_(0, tokens, d_candidates)
            d_bias = vectors.new_zeros(len(d_table)).index_copy_(0, tokens, d_shift)
        d_table.index_add_(0, targets, d_positive.unsqueeze(1) * vectors)
        d_bias.index_add_(0, targets, d_positive)
        return gradient * d_vectors, d_table, d_bias, None, None, None


def softmax_of_blocks(
    vectors: Tensor,
    candidates: Tensor,
    shift: Tensor,
    table: Tensor,
    bias: Tensor,
    targets: Tensor,
    left_out: Tensor,
) -> SoftmaxGradient:
    """`kernel.softmax` in PyTorch, for any dtype and device."""
    own = table[targets]  # (n, E)
    positive = (vectors * own).sum(1) + bias[targets]  # (n,)
    losses, d_vectors, d_positive = torch.empty_like(positive), torch.empty_like(vectors), torch.empty_like(positive)
    d_candidates, d_shift = torch.zeros_like(candidates), torch.zeros_like(shift)
    numbers = torch.arange(len(candidates), device=candidates.device)
    for start in range(0, len(vectors), ROWS):
        block = slice(start, start + ROWS)
        logits = torch.addmm(shift, vectors[block], candidates.t())
        logits.masked_fill_(left_out[block].unsqueeze(1) == numbers, -torch.inf)
        highest = torch.maximum(logits.amax(1), positive[block])
        odds = logits.sub_(highest.unsqueeze(1)).exp_()
        own_odds = (positive[block] - highest).exp()
        total = odds.sum(1) + own_odds
        losses[block] = total.log() + highest - positive[block]
        shares = odds.div_(total.unsqueeze(1))
        d_positive[block] = own_odds / total - 1
        torch.mm(shares, candidates, out=d_vectors[block])
        d_candidates.addmm_(shares.t(), vectors[block])
        d_shift += shares.sum(0)
    d_vectors.addcmul_(d_positive.unsqueeze(1), own)
    return SoftmaxGradient(losses, d_vectors, d_positive, d_candidates, d_shift)


def _once_each(negatives: Tensor, log_expected: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct negatives, and their corrections: one that was drawn m times counts m times. (S,) -> (s,)."""
    tokens, which, draws = torch.unique(negatives, return_inverse=True, return_counts=True)
    correction = log_expected.new_empty(len(tokens)).index_copy_(0, which, log_expected)
    return tokens, correction - draws.to(correction.dtype).log()


def _positions(tokens: Tensor, num_tokens: int) -> Tensor:
    """Where each token of the vocabulary is among `tokens`, or -1. (s,) -> (V,)."""
    positions = tokens.new_full((num_tokens,), -1)
    return positions.index_copy_(0, tokens, torch.arange(len(tokens), device=tokens.device))
