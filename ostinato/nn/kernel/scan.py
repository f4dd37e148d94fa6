"""Linear recurrences in the kernel: input projection, gates and recurrence in one pass, forward and backward."""

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ostinato.nn.kernel import binding
from ostinato.nn.kernel.binding import SCANS, Scan, ScanGradients
from ostinato.nn.kernel.buffers import Buffer, take_buffer
from ostinato.nn.kernel.calls import address, dense
from ostinato.nn.kernel.second_derivative import first_order_only
from ostinato.nn.kernel.threads import num_threads


def scan(cell: str, x: Tensor, lengths: Tensor, weights: Sequence[Tensor], h0: Tensor | None = None) -> Tensor:
    """Run `mingru` or `minlstm` over each sequence.

    Args:
        x: (N, D), the steps of each sequence end to end.
        lengths: (B,) int64 on the CPU.
        weights: for each direction `weight_ih` (G·H, D) and `bias_ih` (G·H,).
        h0: (directions, B, H) initial states; None for zeros. Without gradients only.

    Returns:
        (N, directions · H); a sequence's bits do not depend on the other sequences.

    Raises:
        ValueError: a length is negative, or their sum is not the number of steps.
    """
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, *weights)):
        assert h0 is None, "there is no gradient of an initial state"
        y: Tensor = _Scan.apply(cell, x, lengths, *weights)  # type: ignore[no-untyped-call]
        return y
    return _forward(cell, x, lengths, weights, None, h0)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cell: str, x: Tensor, lengths: Tensor, *weights: Tensor) -> Tensor:
        ctx.buffer = _new_buffer(x, weights)
        y = _forward(cell, x, lengths, weights, ctx.buffer.tensor)
        ctx.cell = cell
        ctx.save_for_backward(y, x, lengths, *weights)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        y, x, lengths, *weights = ctx.saved_tensors
        buffer, ctx.buffer = ctx.buffer, None
        if buffer is None:  # the second backward of a retained graph: the first has overwritten the buffer
            buffer = _new_buffer(x, weights)
            _forward(ctx.cell, x, lengths, weights, buffer.tensor)
        x, dy = x.contiguous().resolve_neg(), dy.contiguous().resolve_neg()
        dx = torch.empty_like(x) if ctx.needs_input_grad[1] else None
        weights = [weight.contiguous().resolve_neg() for weight in weights]
        dweights = [
            torch.empty_like(weight) if wanted else None
            for weight, wanted in zip(weights, ctx.needs_input_grad[3:], strict=True)
        ]
        call, _alive = _call(ctx.cell, x, lengths, weights, y, buffer.tensor)
        pointers = _pointers(dweights)
        gradients = ScanGradients(dy.data_ptr(), None if dx is None else dx.data_ptr(), ctypes.addressof(pointers))
        binding.check(
            binding.built_library().ostinato_scan_backward(ctypes.byref(call), ctypes.byref(gradients), num_threads())
        )
        dx, *dweights = first_order_only([dx, *dweights], [dy, x, *weights])
        return None, dx, None, *dweights


def _new_buffer(x: Tensor, weights: Sequence[Tensor]) -> Buffer:
    """A buffer for the sums of all gates, with each gate's units rounded up to whole vectors."""
    gates = sum(
        -(-len(bias) // 16) * 16 + 48 for bias in weights[1::2]
    )  # up to 3 gates, each rounded up by less than 16
    return take_buffer(len(x) * gates)


def _forward(
    cell: str,
    x: Tensor,
    lengths: Tensor,
    weights: Sequence[Tensor],
    sums: Tensor | None,
    h0: Tensor | None = None,
) -> Tensor:
    x, weights = x.contiguous().resolve_neg(), [weight.contiguous().resolve_neg() for weight in weights]
    y = x.new_empty(len(x), sum(len(bias) for bias in weights[1::2]) // _gates(cell))
    h0 = dense(h0)
    call, _alive = _call(cell, x, lengths, weights, y, sums, h0)
    binding.check(binding.built_library().ostinato_scan(ctypes.byref(call), num_threads()))
    return y


def _call(
    cell: str,
    x: Tensor,
    lengths: Tensor,
    weights: Sequence[Tensor],
    y: Tensor,
    sums: Tensor | None,
    h0: Tensor | None = None,
) -> tuple[Scan, Any]:
    """The C structure of a call, and the array of pointers that must stay alive with it."""
    pointers, directions = _pointers(weights), len(weights) // 2
    sizes = (len(lengths), *x.shape, y.shape[1] // directions)
    return Scan(
        SCANS.index(cell),
        directions,
        *sizes,
        lengths.data_ptr(),
        x.data_ptr(),
        ctypes.addressof(pointers),
        y.data_ptr(),
        address(sums),
        address(h0),
    ), pointers


def _pointers(tensors: Sequence[Tensor | None]) -> Any:
    return (ctypes.c_void_p * len(tensors))(*(None if tensor is None else tensor.data_ptr() for tensor in tensors))


def _gates(cell: str) -> int:
    return 2 if cell == "mingru" else 3
