"""Linear recurrences in the kernel: input projection, gates and recurrence in one pass, forward and backward."""

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ostinato.nn.kernel import binding
from ostinato.nn.kernel.binding import SCANS, Scan, ScanGradients
from ostinato.nn.kernel.buffers import Buffer, take_buffer
from ostinato.nn.kernel.calls import address, dense
from ostinato.nn.kernel.second_derivative import first_order_only
from ostinato.nn.kernel.shapes import check_weights, stack_weights
from ostinato.nn.kernel.threads import num_threads


class Kind(NamedTuple):
    """What a call needs to know of a cell: see `OstinatoScanCell` of interface.h."""

    gates: int  # G, blocks of H rows in weight_ih
    weights: int  # of a direction
    states: int = 1  # S, numbers of state a unit; with 1 the state is the output


KINDS = {
    "mingru": Kind(2, 2),
    "minlstm": Kind(3, 2),
    "mingru_signed": Kind(2, 2),
    "minlstm_signed": Kind(3, 2),
    "rglru": Kind(3, 3),
    "lru": Kind(2, 6, states=2),
}


def scan(cell: str, x: Tensor, lengths: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Run a cell of `KINDS` over each sequence, from zero states.

    Args:
        x: (N, D), the steps of each sequence end to end.
        lengths: (B,) int64 on the CPU.
        weights: for each direction the cell's weights: `weight_ih` (G·H, D), `bias_ih` (G·H,), further ones.

    Returns:
        (N, directions · H); a sequence's bits do not depend on the other sequences.

    Raises:
        ValueError: a length is negative, or their sum is not the number of steps.
    """
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, *weights)):
        y: Tensor = _Scan.apply(cell, x, lengths, *weights)  # type: ignore[no-untyped-call]
        return y
    return _forward(cell, x, lengths, weights, None)[0]


def scan_from(cell: str, x: Tensor, lengths: Tensor, weights: Sequence[Tensor], h0: Tensor) -> tuple[Tensor, Tensor]:
    """`scan` from initial states, without gradients.

    Args:
        h0: (directions, B, S·H).

    Returns:
        The outputs (N, directions · H), and the states after each step (N, directions · S·H).

    Raises:
        ValueError: a length is negative, or their sum is not the number of steps.
    """
    return _forward(cell, x, lengths, weights, None, h0)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cell: str, x: Tensor, lengths: Tensor, *weights: Tensor) -> Tensor:
        ctx.buffer = _new_buffer(cell, x, weights)
        y, states = _forward(cell, x, lengths, weights, ctx.buffer.tensor)
        ctx.cell = cell
        ctx.save_for_backward(states, x, lengths, *weights)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        states, x, lengths, *weights = ctx.saved_tensors
        buffer, ctx.buffer = ctx.buffer, None
        if buffer is None:  # the second backward of a retained graph: the first has overwritten the buffer
            buffer = _new_buffer(ctx.cell, x, weights)
            _forward(ctx.cell, x, lengths, weights, buffer.tensor)
        x, dy = x.contiguous().resolve_neg(), dy.contiguous().resolve_neg()
        dx = torch.empty_like(x) if ctx.needs_input_grad[1] else None
        weights = [weight.contiguous().resolve_neg() for weight in weights]
        dweights = [
            torch.empty_like(weight) if wanted else None
            for weight, wanted in zip(weights, ctx.needs_input_grad[3:], strict=True)
        ]
        call, _alive = _call(ctx.cell, x, lengths, weights, None, states, buffer.tensor)
        pointers = _pointers(dweights)
        gradients = ScanGradients(dy.data_ptr(), None if dx is None else dx.data_ptr(), ctypes.addressof(pointers))
        binding.check(
            binding.built_library().ostinato_scan_backward(ctypes.byref(call), ctypes.byref(gradients), num_threads())
        )
        dx, *dweights = first_order_only([dx, *dweights], [dy, x, *weights])
        return None, dx, None, *dweights


def _new_buffer(cell: str, x: Tensor, weights: Sequence[Tensor]) -> Buffer:
    """A buffer for the sums of all gates, with each gate's units rounded up to whole vectors."""
    gates, directions = KINDS[cell].gates, len(weights) // KINDS[cell].weights
    return take_buffer(len(x) * directions * gates * (-(-_hidden_size(cell, weights) // 16) * 16))


def _forward(
    cell: str,
    x: Tensor,
    lengths: Tensor,
    weights: Sequence[Tensor],
    sums: Tensor | None,
    h0: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The outputs, and the states, which are the same tensor for cells with one number a unit."""
    kind = KINDS[cell]
    x, weights = x.contiguous().resolve_neg(), [weight.contiguous().resolve_neg() for weight in weights]
    y = x.new_empty(len(x), len(weights) // kind.weights * _hidden_size(cell, weights))
    states = y if kind.states == 1 else x.new_empty(len(x), kind.states * y.shape[1])
    h0 = dense(h0)
    call, _alive = _call(cell, x, lengths, weights, y, states, sums, h0)
    binding.check(binding.built_library().ostinato_scan(ctypes.byref(call), num_threads()))
    return y, states


def _call(
    cell: str,
    x: Tensor,
    lengths: Tensor,
    weights: Sequence[Tensor],
    y: Tensor | None,
    states: Tensor,
    sums: Tensor | None,
    h0: Tensor | None = None,
) -> tuple[Scan, Any]:
    """The C structure of a call, and the array of pointers that must stay alive with it.

    Raises:
        ConfigError: a weight is not float32, or of another shape than the others and the width of x require.
    """
    pointers, kind = _pointers(weights), KINDS[cell]
    directions, hidden_size = len(weights) // kind.weights, _hidden_size(cell, weights)
    expected = stack_weights(cell, 1, directions, True, x.shape[1], hidden_size)
    check_weights(expected, weights)
    return Scan(
        SCANS.index(cell),
        directions,
        len(lengths),
        *x.shape,
        hidden_size,
        lengths.data_ptr(),
        x.data_ptr(),
        ctypes.addressof(pointers),
        address(states if kind.states == 1 else y),
        address(sums),
        address(h0),
        address(states),
    ), pointers


def _hidden_size(cell: str, weights: Sequence[Tensor]) -> int:
    return len(weights[1]) // KINDS[cell].gates  # of bias_ih (G·H,)


def _pointers(tensors: Sequence[Tensor | None]) -> Any:
    return (ctypes.c_void_p * len(tensors))(*(None if tensor is None else tensor.data_ptr() for tensor in tensors))
