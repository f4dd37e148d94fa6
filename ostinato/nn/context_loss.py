"""The logistic loss of tokens at given offsets against drawn tokens, with its gradient in the same pass."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ostinato.nn.contexts import Targets

ROWS = 128  # in a block: its logits fit into the cache, and few of them lie outside the band of targets


def context_loss(
    vectors: Tensor, table: Tensor, bias: Tensor, targets: Targets, drawn: Tensor, shares: Tensor
) -> Tensor:
    """The summed logistic loss of each position's targets, and of drawn tokens as targets that should not be there.

        loss = Σₜ Σⱼ wₜⱼ softplus(−sₜ(kⱼ)) + Σₜ mₜ Σ_d rₜ_d softplus(sₜ(d)),    sₜ(k) = vₜ·uₖ + bₖ,    mₜ = Σⱼ wₜⱼ

    with r the share of each drawn token; 0 where the targets are a set and the token is in it. The gradient is computed
    with the loss, block by block. It cannot be differentiated a second time.

    Args:
        vectors: v (N, E), of each position.
        table: u (V, E).
        bias: b (V,).
        targets: of each position: tokens kⱼ and weights wₜⱼ.
        drawn: (S,) different tokens.
        shares: r (S,), how much each of them counts for each unit of the targets' weight.

    Shapes: -> ().

    Source: Mikolov et al. (2013), arXiv:1310.4546, section 2.2; the drawn tokens are shared by all positions, as in Ji
    et al. (2016), arXiv:1604.04661.
    """
    loss: Tensor = _ContextLoss.apply(vectors, table, bias, targets, drawn, shares)  # type: ignore[no-untyped-call]
    return loss


class _ContextLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, vectors: Tensor, table: Tensor, bias: Tensor, targets: Targets, drawn: Tensor, shares: Tensor
    ) -> Tensor:
        tokens = targets.padded  # what stands at each offset: row t of the targets is tokens[t : t + size]
        around, shift, size = table[tokens], bias[tokens], targets.weights.shape[1]
        negatives, negative_shift = table[drawn], bias[drawn]
        columns = _columns(drawn, len(table)) if targets.are_sets else None
        needs_gradient = any(ctx.needs_input_grad)
        d_vectors, d_around, d_shift = torch.empty_like(vectors), torch.zeros_like(around), torch.zeros_like(shift)
        d_negatives, d_negative_shift = torch.zeros_like(negatives), torch.zeros_like(negative_shift)
        loss = 0.0
        for start in range(0, len(vectors), ROWS):
            rows = vectors[start : start + ROWS]
            block, near = slice(start, start + len(rows)), slice(start, start + len(rows) + size - 1)
            weights = targets.weights[block]
            logits = torch.addmm(shift[near], rows, around[near].t())
            band = _band(logits, size)
            loss += float((F.softplus(-band) * weights).sum())
            odds = torch.addmm(negative_shift, rows, negatives.t())
            counts = weights.sum(1, keepdim=True) * shares  # (n, 1), (S,) -> (n, S)
            if columns is not None:
                _leave_out(counts, columns[targets.ids[block]], weights)
            loss += float((F.softplus(odds) * counts).sum())
            if not needs_gradient:
                continue
            d_logits = torch.zeros_like(logits)
            _band(d_logits, size).copy_(torch.sigmoid(-band).mul_(weights).neg_())
            d_odds = odds.sigmoid_().mul_(counts)
            torch.mm(d_odds, negatives, out=d_vectors[block]).addmm_(d_logits, around[near])
            d_around[near].addmm_(d_logits.t(), rows)
            d_negatives.addmm_(d_odds.t(), rows)
            d_shift[near] += d_logits.sum(0)
            d_negative_shift += d_odds.sum(0)
        ctx.save_for_backward(table, tokens, drawn, d_vectors, d_around, d_shift, d_negatives, d_negative_shift)
        return vectors.new_tensor(loss)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        table, tokens, drawn, d_vectors, d_around, d_shift, d_negatives, d_negative_shift = ctx.saved_tensors
        d_table, d_bias = torch.zeros_like(table), table.new_zeros(len(table))
        for ids, d_rows, d_own in ((tokens, d_around, d_shift), (drawn, d_negatives, d_negative_shift)):
            d_table.index_add_(0, ids, d_rows * gradient)
            d_bias.index_add_(0, ids, d_own * gradient)
        return gradient * d_vectors, d_table, d_bias, None, None, None


def _band(logits: Tensor, size: int) -> Tensor:
    """A view of the logits of each row's own targets: row t's begin at column t. (n, n + size - 1) -> (n, size)."""
    return logits.as_strided((len(logits), size), (logits.shape[1] + 1, 1))


def _columns(drawn: Tensor, num_tokens: int) -> Tensor:
    """The place of each token among those drawn, or the number of drawn ones. (S,) -> (V,)."""
    columns = torch.full((num_tokens,), len(drawn), dtype=torch.int64, device=drawn.device)
    columns[drawn] = torch.arange(len(drawn), device=drawn.device)
    return columns


def _leave_out(counts: Tensor, columns: Tensor, weights: Tensor) -> None:
    """Set to 0 what is a target of its row. (n, S), (n, size), (n, size)."""
    rows, places = torch.nonzero((weights > 0) & (columns < counts.shape[1]), as_tuple=True)
    counts[rows, columns[rows, places]] = 0.0
