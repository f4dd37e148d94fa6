"""Recurrent layers in the kernel, as a differentiable function.

Eager mode uses an `autograd.Function` around one ctypes call: it costs a quarter of a registered operator, which small
models notice. Under `torch.compile`, `torch.export` and other tracers the registered operators of `tracing` take over.
Both end in `calls.run_forward` and `calls.run_backward`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ostinato.nn.kernel import tracing
from ostinato.nn.kernel.buffers import take_buffer
from ostinato.nn.kernel.calls import Result, Spec, run_backward, run_forward, saved_floats
from ostinato.nn.kernel.second_derivative import gradients_by_reference, needs_reference


def recurrent(
    spec: Spec,
    x: Tensor,
    ids: Tensor | None,
    lengths: Tensor | None,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
) -> Result:
    """A stack of recurrent layers over a ragged or padded batch.

    Args:
        x: (rows, D) values, or with `ids` a table (V, D) of which each step reads one row.
        ids: (N,) int64 rows of the table; for `ragged` only.
        lengths: (B,) int64 on the CPU; None when every sequence has T steps.
        h0: (L · directions, B, H) initial states; None for zeros.
        c0: the same for the cell states of `lstm` and `lnlstm`; of `slstm` c, n and m, (L · directions, B, 3·H).
        weights: for each layer and direction `weight_ih`, `weight_hh` and, with `bias`, `bias_ih`, `bias_hh`; for
            `lnlstm` the fields of `NormWeights`, for `slstm` those of `HeadWeights`.

    Returns:
        y (rows, directions · H), zeros in rows without a step; h_n (L · directions, B, H) and, if the cell has one,
        c_n, of the shape of c0. The cell states of `slstm` have no gradient.

    Raises:
        IndexError: an id is outside the table.
        ValueError: a length is negative, or their sum is not the number of steps.
    """
    if tracing.is_traced(x, ids, lengths, h0, c0, *weights):
        return tracing.recurrent(spec, x, ids, lengths, h0, c0, weights)
    if _is_differentiated(x, h0, c0, *weights):
        result: Result = _Recurrent.apply(spec, x, ids, lengths, h0, c0, *weights)  # type: ignore[no-untyped-call]
        return result
    return run_forward(spec, x, ids, lengths, h0, c0, weights, None)


def _is_differentiated(*tensors: Tensor | None) -> bool:
    if torch.autograd.forward_ad._current_level >= 0:
        return True  # the autograd function then raises: it has no forward-mode derivative
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


class _Recurrent(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        spec: Spec,
        x: Tensor,
        ids: Tensor | None,
        lengths: Tensor | None,
        h0: Tensor | None,
        c0: Tensor | None,
        *weights: Tensor,
    ) -> Result:
        ctx.buffer = take_buffer(saved_floats(spec, x, ids))
        y, h_n, c_n = run_forward(spec, x, ids, lengths, h0, c0, weights, ctx.buffer.tensor)
        ctx.spec = spec
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, ids, lengths, h0, c0, *weights)
        if spec.cell == "slstm":
            ctx.mark_non_differentiable(c_n)
        return y, h_n, c_n

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, dh_n: Tensor | None, dc_n: Tensor | None = None) -> tuple[Any, ...]:
        x, ids, lengths, h0, c0, *weights = ctx.saved_tensors
        wanted = (ctx.needs_input_grad[1], ctx.needs_input_grad[4], ctx.needs_input_grad[5], *ctx.needs_input_grad[6:])
        if needs_reference((dy, dh_n, dc_n)):
            gradients = gradients_by_reference(ctx.spec, x, ids, lengths, (h0, c0), weights, (dy, dh_n, dc_n), wanted)
            dx, dh0, dc0, *dweights = gradients
            return None, dx, None, None, dh0, dc0, *dweights
        buffer, ctx.buffer = ctx.buffer, None
        if buffer is None:  # the second backward of a retained graph: the first has overwritten the buffer
            buffer = take_buffer(saved_floats(ctx.spec, x, ids))
            run_forward(ctx.spec, x, ids, lengths, h0, c0, weights, buffer.tensor)
        gradients = run_backward(ctx.spec, x, ids, lengths, h0, c0, weights, buffer.tensor, dy, dh_n, dc_n, wanted)
        dx, dh0, dc0, *dweights = gradients
        return None, dx, None, None, dh0, dc0, *dweights
