"""The native engine as torch operations.

Eager mode takes an `autograd.Function` around one ctypes call: a quarter of the cost of a registered operator, which
small models feel. Under `torch.compile`, `torch.export` and other tracers the registered operators of `tracing` stand
in for it. Both end in `run_forward` and `run_backward`.
"""

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ostinato.nn.kernel import binding
from ostinato.nn.kernel.binding import CELLS, ORDERS, Gradients, Stack

Result = tuple[Tensor, Tensor, Tensor | None]


class Spec(NamedTuple):
    """What a call is, apart from its tensors.

    Args:
        cell: `rnn_tanh`, `rnn_relu`, `lstm` or `gru`.
        hidden_size: H.
        num_layers: L.
        bidirectional: two directions a layer.
        bias: whether each direction has `bias_ih` and `bias_hh` after its two weights.
        order: `ragged` (rows are the steps, sequence after sequence), `batch_first` (rows b·T + t of a padded block)
            or `time_first` (rows t·B + b).
        batch_size: B.
        padded_length: T of a padded block; 0 for `ragged`.
    """

    cell: str
    hidden_size: int
    num_layers: int
    bidirectional: bool
    bias: bool
    order: str
    batch_size: int
    padded_length: int


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
        ids: (N,) int64 rows of the table, for `ragged`.
        lengths: (B,) int64 on the CPU; None when every sequence has T steps.
        h0: (L · directions, B, H) initial states; None for zeros.
        c0: the same for the cell states of `lstm`.
        weights: of each layer and direction `weight_ih`, `weight_hh` and, with `bias`, `bias_ih`, `bias_hh`.

    Returns:
        y (rows, directions · H), zeros where a row holds no step; h_n and, for `lstm`, c_n (L · directions, B, H).

    Raises:
        IndexError: an id is outside the table.
        ValueError: lengths are negative or do not add up.
    """
    if is_traced(x, ids, lengths, h0, c0, *weights):
        from ostinato.nn.kernel import tracing

        return tracing.recurrent(spec, x, ids, lengths, h0, c0, weights)
    if _is_differentiated(x, h0, c0, *weights):
        result: Result = _Recurrent.apply(spec, x, ids, lengths, h0, c0, *weights)  # type: ignore[no-untyped-call]
        return result
    return run_forward(spec, x, ids, lengths, h0, c0, weights, None)


def is_traced(*tensors: Tensor | None) -> bool:
    """Whether something other than eager mode is looking: a compiler, an exporter, a mode that sees every operation.

    So is a tensor of a subclass: it may have no memory of its own.
    """
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0:
        return True
    return any(tensor is not None and type(tensor) not in (Tensor, torch.nn.Parameter) for tensor in tensors)


def _is_differentiated(*tensors: Tensor | None) -> bool:
    if torch.autograd.forward_ad._current_level >= 0:
        return True  # by the function, which says that it has no forward-mode derivative
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
        ctx.kept = take_saved(saved_floats(spec, x, ids, lengths))
        y, h_n, c_n = run_forward(spec, x, ids, lengths, h0, c0, weights, ctx.kept.tensor)
        ctx.spec = spec
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(y, x, ids, lengths, h0, c0, *weights)
        return y, h_n, c_n

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, dh_n: Tensor | None, dc_n: Tensor | None = None) -> tuple[Any, ...]:
        y, x, ids, lengths, h0, c0, *weights = ctx.saved_tensors
        kept, ctx.kept = ctx.kept, None
        if kept is None:  # a second backward of a retained graph: the first has overwritten what was kept
            kept = take_saved(saved_floats(ctx.spec, x, ids, lengths))
            run_forward(ctx.spec, x, ids, lengths, h0, c0, weights, kept.tensor)
        wanted = (ctx.needs_input_grad[1], ctx.needs_input_grad[4], ctx.needs_input_grad[5], *ctx.needs_input_grad[6:])
        gradients = run_backward(ctx.spec, y, x, ids, lengths, h0, c0, weights, kept.tensor, dy, dh_n, dc_n, wanted)
        gradients = once(gradients, [source for source in (dy, dh_n, dc_n, x, h0, c0, *weights) if source is not None])
        dx, dh0, dc0, *dweights = gradients
        return None, dx, None, None, dh0, dc0, *dweights


class _NotTwice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *sources: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Any:
        raise RuntimeError(
            "The native engine has no second derivative. Run the forward inside: with ostinato.nn.use_engine('reference')."
        )


def once(gradients: Sequence[Tensor | None], sources: Sequence[Tensor]) -> list[Tensor | None]:
    """The gradients, which say that they know none themselves where `create_graph=True` asks for it.

    torch's `once_differentiable` says so only where the incoming gradient needs one; elsewhere the second derivative is lost without a word.
    """
    if not torch.is_grad_enabled():
        return list(gradients)
    return [None if gradient is None else _NotTwice.apply(gradient, *sources) for gradient in gradients]  # type: ignore[no-untyped-call]


# ---- what a forward keeps for its backward -------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _floats_a_step(cell: str, num_layers: int, directions: int, hidden_size: int) -> int:
    """Of 16 steps, for which the library's roundings vanish."""
    stack = Stack(
        cell=CELLS.index(cell), num_layers=num_layers, num_directions=directions, num_steps=16, hidden_size=hidden_size
    )
    return int(binding.built_library().ostinato_saved_floats(ctypes.byref(stack))) // 16


def saved_floats(spec: Spec, x: Tensor, ids: Tensor | None, lengths: Tensor | None) -> int:
    """Size of what a training forward keeps; for a padded block an upper bound that does not look at the lengths."""
    rows = (x if ids is None else ids).shape[0]
    return (
        (rows + 15)
        // 16
        * 16
        * _floats_a_step(spec.cell, spec.num_layers, 2 if spec.bidirectional else 1, spec.hidden_size)
    )


STORED, LARGEST_STORED = 2, 128 << 20  # buffers, and floats of the largest: new memory costs a page fault every 4 KiB
_store: list[Tensor] = []


class Kept:
    """A buffer that goes back to the store when its last user lets go of it, so that the next step finds it warm."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __del__(self, store: list[Tensor] = _store, stored: int = STORED, largest: int = LARGEST_STORED) -> None:
        if self.tensor.numel() <= largest:  # defaults, for at exit the module may be gone
            store.append(self.tensor)
            del store[:-stored]


def take_saved(floats: int) -> Kept:
    """A buffer of at least so many floats, from the store or new."""
    for k in range(len(_store) - 1, -1, -1):
        try:
            buffer = _store.pop(k)
        except IndexError:  # another thread was faster
            break
        if floats <= buffer.numel() <= 4 * floats + 65_536:
            return Kept(buffer)
        _store.append(buffer)
    return Kept(torch.empty(floats + floats // 8 if floats < LARGEST_STORED else floats))


# ---- the calls -----------------------------------------------------------------------------------------------------


def run_forward(
    spec: Spec,
    x: Tensor,
    ids: Tensor | None,
    lengths: Tensor | None,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
    saved: Tensor | None,
) -> Result:
    """Run the kernel forward; fills `saved` for a backward when given."""
    directions = 2 if spec.bidirectional else 1
    rows = (x if ids is None else ids).shape[0]
    x, h0, c0 = x.contiguous().resolve_neg(), _dense(h0), _dense(c0)
    weights = [weight.contiguous() for weight in weights]
    width = directions * spec.hidden_size
    y = x.new_zeros(rows, width) if lengths is not None and spec.padded_length else x.new_empty(rows, width)
    h_n = x.new_empty(spec.num_layers * directions, spec.batch_size, spec.hidden_size)
    c_n = torch.empty_like(h_n) if spec.cell == "lstm" else None
    stack, _pointers = _stack(spec, x, ids, lengths, h0, c0, weights, y, h_n, c_n, saved)
    binding.check(binding.built_library().ostinato_forward(ctypes.byref(stack)))
    return y, h_n, c_n


def run_backward(
    spec: Spec,
    y: Tensor,
    x: Tensor,
    ids: Tensor | None,
    lengths: Tensor | None,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
    saved: Tensor,
    dy: Tensor | None,
    dh_n: Tensor | None,
    dc_n: Tensor | None,
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """Run the kernel backward, overwriting `saved`. Returns the gradients of x, h0, c0 and the weights, None where not `wanted`."""
    x, h0, c0 = x.contiguous().resolve_neg(), _dense(h0), _dense(c0)
    weights = [weight.contiguous() for weight in weights]
    dy, dh_n, dc_n = _dense(dy), _dense(dh_n), _dense(dc_n)
    stack, _pointers = _stack(spec, x, ids, lengths, h0, c0, weights, y, None, None, saved)
    dx = None
    if wanted[0]:
        has_gaps = (lengths is not None and spec.padded_length > 0) or (
            ids is not None and not len(ids)
        )  # rows that the kernel leaves alone
        dx = torch.zeros_like(x) if has_gaps else torch.empty_like(x)
    dh0 = torch.empty_like(h0) if h0 is not None and wanted[1] else None
    dc0 = torch.empty_like(c0) if c0 is not None and wanted[2] else None
    dweights = [torch.empty_like(weight) if want else None for weight, want in zip(weights, wanted[3:], strict=True)]
    pointers = _weight_pointers(spec, dweights)
    gradients = Gradients(_at(dy), _at(dh_n), _at(dc_n), _at(dx), ctypes.addressof(pointers), _at(dh0), _at(dc0))
    binding.check(binding.built_library().ostinato_backward(ctypes.byref(stack), ctypes.byref(gradients)))
    return [dx, dh0, dc0, *dweights]


def _stack(
    spec: Spec,
    x: Tensor,
    ids: Tensor | None,
    lengths: Tensor | None,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
    y: Tensor,
    h_n: Tensor | None,
    c_n: Tensor | None,
    saved: Tensor | None,
) -> tuple[Stack, Any]:
    """The library's view of a call, and the array that has to stay alive with it."""
    steps = (x if ids is None else ids).shape[0]
    if spec.padded_length and lengths is not None:
        steps = int(lengths.sum())
    pointers = _weight_pointers(spec, weights)
    stack = Stack(
        CELLS.index(spec.cell),
        spec.num_layers,
        2 if spec.bidirectional else 1,
        ORDERS.index(spec.order),
        torch.get_num_threads(),
        saved is not None,
        spec.batch_size,
        steps,
        spec.padded_length,
        x.shape[1],
        spec.hidden_size,
        x.shape[0],
        _at(lengths),
        _at(ids),
        x.data_ptr(),
        ctypes.addressof(pointers),
        _at(h0),
        _at(c0),
        y.data_ptr(),
        _at(h_n),
        _at(c_n),
        _at(saved),
    )
    return stack, pointers


def _weight_pointers(spec: Spec, tensors: Sequence[Tensor | None]) -> Any:
    addresses = [_at(tensor) for tensor in tensors]
    if not spec.bias:
        addresses = [address for k in range(0, len(addresses), 2) for address in (*addresses[k : k + 2], None, None)]
    return (ctypes.c_void_p * len(addresses))(*addresses)


def _at(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _dense(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous().resolve_neg()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Map rows as x · weightᵀ + bias, without gradient; the bits of a row do not depend on the other rows, as they do with a BLAS. (N, D) -> (N, H)."""
    x, weight, bias = x.contiguous(), weight.contiguous(), _dense(bias)
    out = x.new_empty(x.shape[0], weight.shape[0])
    library = binding.built_library()
    binding.check(
        library.ostinato_linear(
            x.data_ptr(),
            weight.data_ptr(),
            _at(bias),
            out.data_ptr(),
            *x.shape,
            weight.shape[0],
            torch.get_num_threads(),
        )
    )
    return out
