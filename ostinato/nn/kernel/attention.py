"""Attention pooling in the kernel: one call forward and one backward instead of about thirty small torch operations."""

import ctypes
from typing import Any

import torch
from torch import Tensor

from ostinato.nn.kernel import binding
from ostinato.nn.kernel.binding import Attention, AttentionGradients
from ostinato.nn.kernel.second_derivative import first_order_only
from ostinato.nn.kernel.shapes import attention_claims, check_float32
from ostinato.nn.kernel.threads import num_threads


def attend(
    h: Tensor, lengths: Tensor, project: Tensor, bias: Tensor, score: Tensor, running: Tensor | None = None
) -> Tensor:
    """Additive attention pooling: Σ a·h over each sequence, with a = softmax(score · tanh(project · h + bias)).

    Args:
        h: (N, H), the steps of each sequence end to end.
        lengths: (B,) int64 on the CPU.
        project: (H, H), with `bias` (H,).
        score: (1, H).
        running: (B, H + 2), contiguous: sum step by step from this state, and write the state after the last step to
            it, so that a sequence in pieces gives the bits of the whole. For each sequence the largest score so far
            (-inf without steps), the sum of powers, the weighted sum of h. Without gradients only.

    Returns:
        (B, H), zeros for a sequence without steps; a sequence's bits do not depend on the other sequences.

    Raises:
        ConfigError: a weight is not float32 or does not match the width of h.
        ValueError: a length is negative, or their sum is not the number of steps.
    """
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (h, project, bias, score)):
        assert running is None, "there is no backward of a sum step by step"
        pooled: Tensor = _Attend.apply(h, lengths, project, bias, score)  # type: ignore[no-untyped-call]
        return pooled
    dense = (
        h.contiguous().resolve_neg(),
        lengths,
        project.contiguous().resolve_neg(),
        bias.contiguous().resolve_neg(),
        score.contiguous().resolve_neg(),
    )
    return _forward(*dense, None, None, running)


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, lengths: Tensor, project: Tensor, bias: Tensor, score: Tensor) -> Tensor:
        ctx.a, ctx.u = _new_saved(h)
        out = _forward(
            h.contiguous().resolve_neg(),
            lengths,
            project.contiguous().resolve_neg(),
            bias.contiguous().resolve_neg(),
            score.contiguous().resolve_neg(),
            ctx.a,
            ctx.u,
        )
        ctx.save_for_backward(h, lengths, project, bias, score, out)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        given, lengths, *weights, out = ctx.saved_tensors
        h, project, bias, score = (tensor.contiguous().resolve_neg() for tensor in (given, *weights))
        (a, u), ctx.a, ctx.u = (ctx.a, ctx.u), None, None
        if u is None:  # the second backward of a retained graph: the first has overwritten them
            a, u = _new_saved(h)
            _forward(h, lengths, project, bias, score, a, u)
        gradient = gradient.contiguous().resolve_neg()
        dh, dproject, dbias, dscore = (torch.empty_like(tensor) for tensor in (h, project, bias, score))
        attention = _attention(h, lengths, project, bias, score, out, a, u)
        gradients = AttentionGradients(*(tensor.data_ptr() for tensor in (gradient, dh, dproject, dbias, dscore)))
        library = binding.built_library()
        binding.check(library.ostinato_attend_backward(ctypes.byref(attention), ctypes.byref(gradients), num_threads()))
        input_gradient, *others = first_order_only([dh, dproject, dbias, dscore], [gradient, given, *weights])
        return input_gradient, None, *others


def _new_saved(h: Tensor) -> tuple[Tensor, Tensor]:
    """Empty tensors for the weights (N,) and for tanh(project · h + bias), with rows rounded up to whole vectors."""
    return h.new_empty(len(h)), h.new_empty(len(h), (h.shape[1] + 15) // 16 * 16)


def _forward(
    h: Tensor,
    lengths: Tensor,
    project: Tensor,
    bias: Tensor,
    score: Tensor,
    a: Tensor | None,
    u: Tensor | None,
    running: Tensor | None = None,
) -> Tensor:
    out = h.new_empty(len(lengths), h.shape[1])
    attention = _attention(h, lengths, project, bias, score, out, a, u, running)
    binding.check(binding.built_library().ostinato_attend(ctypes.byref(attention), num_threads()))
    return out


def _attention(
    h: Tensor,
    lengths: Tensor,
    project: Tensor,
    bias: Tensor,
    score: Tensor,
    out: Tensor,
    a: Tensor | None,
    u: Tensor | None,
    running: Tensor | None = None,
) -> Attention:
    check_float32(attention_claims(project, bias, score, h.shape[1]))
    tensors = (lengths, h, project, bias, score, out, a, u, running)
    pointers = (None if tensor is None else tensor.data_ptr() for tensor in tensors)
    return Attention(len(lengths), *h.shape, *pointers)
