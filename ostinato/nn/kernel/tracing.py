"""The native engine as registered torch operators, for compilers, exporters and dispatch modes.

Importing this module registers `ostinato::recurrent` and `ostinato::recurrent_backward`: their schemas, CPU
implementations, output sizes for fake tensors (where batch and time may be symbols), and derivatives.
"""

import ctypes
from collections.abc import Iterator, Sequence
from operator import index
from typing import Any

import torch
from torch import Tensor

from ostinato.errors import ConfigError, look_up
from ostinato.nn.cells import CELLS, Weights
from ostinato.nn.kernel.binding import CELLS as NATIVE
from ostinato.nn.kernel.buffers import take_buffer
from ostinato.nn.kernel.calls import (
    WITH_C,
    Result,
    SavedSize,
    Spec,
    dense,
    run_backward,
    run_forward,
    saved_floats,
    saved_size,
)
from ostinato.nn.kernel.second_derivative import NoSecondDerivative
from ostinato.nn.kernel.shapes import check_tensors, stack_weights


def recurrent(
    spec: Spec,
    x: Tensor,
    ids: Tensor | None,
    lengths: Tensor | None,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
) -> Result:
    """`kernel.recurrent` as one operator in the recorded graph."""
    # An exported program saves nothing for backward, because it is rarely trained; if it is, each forward runs twice.
    training = (
        not _is_exporting()
        and torch.is_grad_enabled()
        and any(t is not None and t.requires_grad for t in (x, h0, c0, *weights))
    )
    num_layers, hidden_size = index(spec.num_layers), index(spec.hidden_size)  # constants in the graph, not symbols
    input_size, directions = index(x.shape[-1]), 2 if spec.bidirectional else 1
    kept = (
        constant_saved_size(spec.cell, num_layers, directions, input_size, hidden_size, spec.precision)
        if training
        else (0, 0)
    )
    y, h_n, c_n, _ = torch.ops.ostinato.recurrent(x, ids, lengths, h0, c0, list(weights), *spec, *kept)
    return y, h_n, c_n if spec.cell in WITH_C else None


def is_traced(*tensors: Tensor | None) -> bool:
    """Whether a compiler, an exporter or a dispatch mode records the operations.

    True also for tensor subclasses, which may not have memory.
    """
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0:
        return True
    return any(tensor is not None and type(tensor) not in (Tensor, torch.nn.Parameter) for tensor in tensors)


def _is_exporting() -> bool:
    return hasattr(torch.compiler, "is_exporting") and torch.compiler.is_exporting()  # PyTorch 2.6 does not have it


def constant_saved_size(
    cell: str, num_layers: int, directions: int, input_size: int, hidden_size: int, precision: str
) -> tuple[int, int]:
    """What forward saves for backward, as constants in the graph: floats per step, and more for the whole batch.

    Compiled code is cached on disk and may run on a machine where the library needs more than where it was compiled, so
    the operators compare it with the current need.
    """
    size = saved_size(cell, num_layers, directions, input_size, hidden_size, precision)
    return size.per_step, size.per_batch


# what torch.compiler.assume_constant_result does, without its slow import
constant_saved_size._dynamo_marked_constant = True  # type: ignore[attr-defined]


# ---- forward: y, h_n, c_n (empty if the cell has none), and a buffer of the given size, saved for backward -----------


def _forward(
    x: Tensor,
    ids: Tensor | None,
    lengths: Tensor | None,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
    *arguments: Any,
) -> tuple[Tensor, ...]:
    *fields, per_step, per_batch = arguments
    spec = Spec(*fields)
    ids, lengths = dense(ids), dense(lengths)
    check_tensors("ostinato::recurrent", _inputs(spec, x, ids, lengths, h0, c0, weights))
    saved = _lend(_saved_size(x, ids, per_step, per_batch))
    suffices = per_step > 0 and saved.numel() >= saved_floats(spec, x, ids)
    if per_step > 0 and spec.precision == "int8":
        spec = spec._replace(precision="float32")  # as for a training forward, also if too little can be saved
    y, h_n, c_n = run_forward(spec, x, ids, lengths, h0, c0, weights, saved if suffices else None)
    return y, h_n, x.new_empty(0) if c_n is None else c_n, saved


def _saved_size(x: Tensor, ids: Tensor | None, per_step: int, per_batch: int) -> int:
    return SavedSize(per_step, per_batch).of((x if ids is None else ids).shape[0])


def _lend(floats: int) -> Tensor:
    """A tensor in a buffer from the store; the buffer returns when the last tensor on its memory is gone."""
    if not floats:
        return torch.empty(0)
    buffer = take_buffer(floats)
    memory = (ctypes.c_float * floats).from_address(buffer.tensor.data_ptr())
    memory.buffer = buffer  # type: ignore[attr-defined]
    return torch.frombuffer(memory, dtype=torch.float32)


def _forward_sizes(
    x: Tensor,
    ids: Tensor | None,
    lengths: Tensor | None,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
    *arguments: Any,
) -> tuple[Tensor, ...]:
    *fields, per_step, per_batch = arguments
    spec = Spec(*fields)
    directions = 2 if spec.bidirectional else 1
    y = x.new_empty((x if ids is None else ids).shape[0], directions * spec.hidden_size)
    h_n = x.new_empty(spec.num_layers * directions, spec.batch_size, spec.hidden_size)
    c_n = x.new_empty(_state_shape(spec, WITH_C[spec.cell])) if spec.cell in WITH_C else x.new_empty(0)
    return y, h_n, c_n, x.new_empty(_saved_size(x, ids, per_step, per_batch))


# ---- backward: the wanted gradients among those of x, h0, c0 and the weights -----------------------------------------


def _backward(
    saved: Tensor,
    dy: Tensor | None,
    dh_n: Tensor | None,
    dc_n: Tensor | None,
    x: Tensor,
    ids: Tensor | None,
    lengths: Tensor | None,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
    *arguments: Any,
) -> list[Tensor]:
    *fields, wanted = arguments
    spec = Spec(*fields)
    ids, lengths = dense(ids), dense(lengths)
    check_tensors(
        "ostinato::recurrent",
        (*_inputs(spec, x, ids, lengths, h0, c0, weights), *_gradients(spec, x, ids, dy, dh_n, dc_n)),
    )
    floats = saved_floats(spec, x, ids)
    # a copy, because the library overwrites it and an operator must not change its inputs
    buffer = take_buffer(floats)
    if saved.numel() >= floats:
        buffer.tensor[:floats].copy_(saved[:floats])
    else:  # forward saved nothing, or too little
        run_forward(spec, x, ids, lengths, h0, c0, weights, buffer.tensor)
    gradients = run_backward(spec, x, ids, lengths, h0, c0, weights, buffer.tensor, dy, dh_n, dc_n, wanted)
    return [gradient for gradient in gradients if gradient is not None]


def _backward_sizes(
    saved: Tensor,
    dy: Tensor | None,
    dh_n: Tensor | None,
    dc_n: Tensor | None,
    x: Tensor,
    ids: Tensor | None,
    lengths: Tensor | None,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
    *arguments: Any,
) -> list[Tensor]:
    wanted = arguments[-1]
    return [
        t.new_empty(t.shape) for t, want in zip((x, h0, c0, *weights), wanted, strict=True) if want and t is not None
    ]


# ---- the derivative --------------------------------------------------------------------------------------------------


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, ids, lengths, h0, c0, weights, *fields, _per_step, _per_batch = inputs
    _, _, c_n, saved = output
    ctx.spec = Spec(*fields)
    ctx.save_for_backward(saved, x, ids, lengths, h0, c0, *weights)
    ctx.mark_non_differentiable(*((saved,) if ctx.spec.cell in ("lstm", "lnlstm") else (saved, c_n)))
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, dy: Tensor | None, dh_n: Tensor | None, dc_n: Tensor | None, _: None) -> tuple[Any, ...]:
    saved, x, ids, lengths, h0, c0, *weights = ctx.saved_tensors
    needs_x, _, _, needs_h0, needs_c0, needs_weights, *others = ctx.needs_input_grad
    wanted = [needs_x, needs_h0, needs_c0, *needs_weights]
    gradients = iter(
        torch.ops.ostinato.recurrent_backward(
            saved, dy, dh_n, dc_n, x, ids, lengths, h0, c0, weights, *ctx.spec, wanted
        )
    )
    dx, dh0, dc0, *dweights = [next(gradients) if want else None for want in wanted]
    return dx, None, None, dh0, dc0, dweights, *(None for _ in others)


# ---- checks: a graph may come from a file and run on other inputs than those it was recorded with --------------------

Claim = tuple[str, Tensor | None, torch.dtype, tuple[int, ...]]  # name, tensor, and its required dtype and shape


def _inputs(
    spec: Spec,
    x: Tensor,
    ids: Tensor | None,
    lengths: Tensor | None,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
) -> Iterator[Claim]:
    if spec.order == "ragged" and (lengths is None or spec.padded_length):
        raise ConfigError(
            f"ostinato::recurrent cannot run: order 'ragged' with padded_length {spec.padded_length} and "
            f"lengths {'missing' if lengths is None else 'given'}. Expected padded_length 0 and lengths."
        )
    rows = (x if ids is None else ids).shape[0] if spec.order == "ragged" else spec.batch_size * spec.padded_length
    size = x.shape[-1]
    cell = look_up({name: CELLS[name] for name in NATIVE}, spec.cell, "cell")
    if not spec.bias and cell.weights is not Weights:
        raise ConfigError(f"ostinato::recurrent cannot run: {spec.cell} without biases. Expected bias=True.")
    yield "x", x, torch.float32, (rows if ids is None else x.shape[0], size)
    yield "ids", ids, torch.int64, (rows,)
    yield "lengths", lengths, torch.int64, (spec.batch_size,)
    yield "h0", h0, torch.float32, _state_shape(spec)
    yield "c0", c0, torch.float32, _state_shape(spec, WITH_C.get(spec.cell, 1))
    directions = 2 if spec.bidirectional else 1
    expected = stack_weights(spec.cell, spec.num_layers, directions, spec.bias, size, spec.hidden_size)
    count = len(expected.names)
    if len(weights) != count:
        raise ConfigError(f"ostinato::recurrent cannot run: {len(weights)} weights were given. Expected {count}.")
    for name, shape, weight in zip(*expected, weights, strict=True):
        yield name, weight, torch.float32, shape


def _gradients(
    spec: Spec, x: Tensor, ids: Tensor | None, dy: Tensor | None, dh_n: Tensor | None, dc_n: Tensor | None
) -> Iterator[Claim]:
    shape = ((x if ids is None else ids).shape[0], spec.hidden_size * (2 if spec.bidirectional else 1))
    yield "dy", dy, torch.float32, shape
    yield "dh_n", dh_n, torch.float32, _state_shape(spec)
    yield "dc_n", dc_n, torch.float32, _state_shape(spec, WITH_C.get(spec.cell, 1))


def _state_shape(spec: Spec, states: int = 1) -> tuple[int, int, int]:
    return spec.num_layers * (2 if spec.bidirectional else 1), spec.batch_size, states * spec.hidden_size


# ---- registration ----------------------------------------------------------------------------------------------------

_INPUTS = "Tensor x, Tensor? ids, Tensor? lengths, Tensor? h0, Tensor? c0, Tensor[] weights"
_SPEC = (
    "str cell, int hidden_size, int num_layers, bool bidirectional, bool bias, str order, "
    "SymInt batch_size, SymInt padded_length, str precision"
)
_SCHEMAS = (
    f"recurrent({_INPUTS}, {_SPEC}, int per_step, int per_batch) -> (Tensor y, Tensor h_n, Tensor c_n, Tensor saved)",
    "recurrent_backward(Tensor saved, Tensor? dy, Tensor? dh_n, Tensor? dc_n, "
    f"{_INPUTS}, {_SPEC}, bool[] wanted) -> Tensor[]",
)

# the registrations live as long as this object
_operators = torch.library.Library("ostinato", "DEF")  # type: ignore[no-untyped-call]
for _schema in _SCHEMAS:
    _operators.define(_schema, tags=torch.Tag.pt2_compliant_tag)  # type: ignore[no-untyped-call]
_operators.impl("recurrent", _forward, "CPU")  # type: ignore[no-untyped-call]
_operators.impl("recurrent_backward", _backward, "CPU")  # type: ignore[no-untyped-call]
torch.library.register_fake("ostinato::recurrent", _forward_sizes, lib=_operators)
torch.library.register_fake("ostinato::recurrent_backward", _backward_sizes, lib=_operators)
torch.library.register_autograd("ostinato::recurrent", _differentiate, setup_context=_keep, lib=_operators)
torch.library.register_autograd("ostinato::recurrent_backward", NoSecondDerivative.backward, lib=_operators)
