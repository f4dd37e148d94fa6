"""The native engine as operators of torch, for what records operations instead of running them: compilers, exporters, dispatch modes.

Importing this registers `ostinato::recurrent` and `ostinato::recurrent_backward`: their schemas, the CPU's
implementation, the sizes of the results for fake tensors (where batch and time may be symbols), and the derivative.
"""

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from operator import index
from typing import Any

import torch
from torch import Tensor

from ostinato.errors import ConfigError, look_up
from ostinato.nn.cells import CELLS
from ostinato.nn.kernel.binding import CELLS as NATIVE
from ostinato.nn.kernel.buffers import take_buffer
from ostinato.nn.kernel.calls import Result, Spec, dense, floats_per_step, run_backward, run_forward, saved_floats
from ostinato.nn.kernel.second_derivative import NoSecondDerivative


def recurrent(
    spec: Spec,
    x: Tensor,
    ids: Tensor | None,
    lengths: Tensor | None,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
) -> Result:
    """As `kernel.recurrent`, as one operator in whatever is being recorded."""
    # an exported program keeps nothing for a backward that few ask of it; one that is trained after all runs each forward twice
    training = (
        not _is_exporting()
        and torch.is_grad_enabled()
        and any(t is not None and t.requires_grad for t in (x, h0, c0, *weights))
    )
    num_layers, hidden_size = index(spec.num_layers), index(spec.hidden_size)  # constants of the graph, not symbols
    kept = (
        constant_floats_per_step(spec.cell, num_layers, 2 if spec.bidirectional else 1, hidden_size) if training else 0
    )
    y, h_n, c_n, _ = torch.ops.ostinato.recurrent(x, ids, lengths, h0, c0, list(weights), *spec, kept)
    return y, h_n, c_n if spec.cell == "lstm" else None


def is_traced(*tensors: Tensor | None) -> bool:
    """Whether something other than eager mode is looking: a compiler, an exporter, a mode that sees every operation.

    So is a tensor of a subclass: it may have no memory of its own.
    """
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0:
        return True
    return any(tensor is not None and type(tensor) not in (Tensor, torch.nn.Parameter) for tensor in tensors)


def _is_exporting() -> bool:
    return hasattr(torch.compiler, "is_exporting") and torch.compiler.is_exporting()  # PyTorch 2.6 does not say


def constant_floats_per_step(cell: str, num_layers: int, directions: int, hidden_size: int) -> int:
    """What a forward keeps for its backward.

    It stands in the graph as a number: compiled code is cached on disk, and may be run where the library's tiles are wider
    than they were where it was compiled.
    """
    return floats_per_step(cell, num_layers, directions, hidden_size)


constant_floats_per_step._dynamo_marked_constant = True  # type: ignore[attr-defined]  # torch.compiler.assume_constant_result, without its slow import


# ---- forward: y, h_n, c_n (empty where the cell has none), and `kept` floats a step for a backward -------------------


def _forward(
    x: Tensor,
    ids: Tensor | None,
    lengths: Tensor | None,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
    *arguments: Any,
) -> tuple[Tensor, ...]:
    *fields, kept = arguments
    spec = Spec(*fields)
    ids, lengths = dense(ids), dense(lengths)
    _check(_inputs(spec, x, ids, lengths, h0, c0, weights))
    saved = _lend(_whole_tiles(x, ids) * kept)
    suffices = kept > 0 and saved.numel() >= saved_floats(spec, x, ids, lengths)
    y, h_n, c_n = run_forward(spec, x, ids, lengths, h0, c0, weights, saved if suffices else None)
    return y, h_n, x.new_empty(0) if c_n is None else c_n, saved


def _whole_tiles(x: Tensor, ids: Tensor | None) -> int:
    """Steps, at most, as `saved_floats` counts them."""
    return ((x if ids is None else ids).shape[0] + 15) // 16 * 16


def _lend(floats: int) -> Tensor:
    """A buffer from the store, to which it returns with the last tensor on its memory."""
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
    *fields, kept = arguments
    spec = Spec(*fields)
    directions = 2 if spec.bidirectional else 1
    y = x.new_empty((x if ids is None else ids).shape[0], directions * spec.hidden_size)
    h_n = x.new_empty(spec.num_layers * directions, spec.batch_size, spec.hidden_size)
    c_n = torch.empty_like(h_n) if spec.cell == "lstm" else x.new_empty(0)
    return y, h_n, c_n, x.new_empty(_whole_tiles(x, ids) * kept)


# ---- backward: the gradients of x, h0, c0 and the weights, those that are wanted -------------------------------------


def _backward(
    y: Tensor,
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
    _check((*_inputs(spec, x, ids, lengths, h0, c0, weights), *_outputs(spec, x, ids, y, dy, dh_n, dc_n)))
    floats = saved_floats(spec, x, ids, lengths)
    buffer = take_buffer(
        floats
    )  # for a copy, because the library overwrites it and an operator leaves its inputs as they are
    if saved.numel() >= floats:
        buffer.tensor[:floats].copy_(saved[:floats])
    else:  # the forward kept nothing, or too little
        y = run_forward(spec, x, ids, lengths, h0, c0, weights, buffer.tensor)[0]
    gradients = run_backward(
        spec, y.contiguous(), x, ids, lengths, h0, c0, weights, buffer.tensor, dy, dh_n, dc_n, wanted
    )
    return [gradient for gradient in gradients if gradient is not None]


def _backward_sizes(
    y: Tensor,
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
    x, ids, lengths, h0, c0, weights, *fields, _ = inputs
    y, _, c_n, saved = output
    ctx.spec = Spec(*fields)
    ctx.save_for_backward(y, saved, x, ids, lengths, h0, c0, *weights)
    ctx.mark_non_differentiable(*((saved,) if ctx.spec.cell == "lstm" else (saved, c_n)))
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, dy: Tensor | None, dh_n: Tensor | None, dc_n: Tensor | None, _: None) -> tuple[Any, ...]:
    y, saved, x, ids, lengths, h0, c0, *weights = ctx.saved_tensors
    needs_x, _, _, needs_h0, needs_c0, needs_weights, *others = ctx.needs_input_grad
    wanted = [needs_x, needs_h0, needs_c0, *needs_weights]
    gradients = iter(
        torch.ops.ostinato.recurrent_backward(
            y, saved, dy, dh_n, dc_n, x, ids, lengths, h0, c0, weights, *ctx.spec, wanted
        )
    )
    dx, dh0, dc0, *dweights = [next(gradients) if want else None for want in wanted]
    return dx, None, None, dh0, dc0, dweights, *(None for _ in others)


# ---- a graph may come from a file, and be run on other inputs than it was made with ----------------------------------

Claim = tuple[str, Tensor | None, torch.dtype, tuple[int, ...]]  # a tensor, what its dtype and its shape must be


def _check(claims: Iterable[Claim]) -> None:
    """Refuse tensors that the library would read or write out of bounds.

    Raises:
        ConfigError: a dtype or shape is not what the specification asks for.
    """
    faults = [
        f"{name} is {_kind(tensor.dtype, tuple(tensor.shape))}; it must be {_kind(dtype, shape)}."
        for name, tensor, dtype, shape in claims
        if tensor is not None and (tensor.dtype is not dtype or tensor.shape != shape)
    ]
    if faults:
        raise ConfigError("ostinato::recurrent cannot run: " + "\n".join(faults))


def _kind(dtype: torch.dtype, shape: tuple[int, ...]) -> str:
    return f"{str(dtype).removeprefix('torch.')} of shape {shape}"


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
            f"ostinato::recurrent cannot run: ragged order, padded_length {spec.padded_length}; it must have lengths, and padded_length 0."
        )
    rows = (x if ids is None else ids).shape[0] if spec.order == "ragged" else spec.batch_size * spec.padded_length
    size, width = x.shape[-1], spec.hidden_size * (2 if spec.bidirectional else 1)
    gates = look_up({name: CELLS[name].gates for name in NATIVE}, spec.cell, "cell") * spec.hidden_size
    yield "x", x, torch.float32, (rows if ids is None else x.shape[0], size)
    yield "ids", ids, torch.int64, (rows,)
    yield "lengths", lengths, torch.int64, (spec.batch_size,)
    yield "h0", h0, torch.float32, _state_shape(spec)
    yield "c0", c0, torch.float32, _state_shape(spec)
    shapes = []
    for below in (size, *[width] * (spec.num_layers - 1)):
        direction = [(gates, below), (gates, spec.hidden_size), *[(gates,)] * (2 if spec.bias else 0)]
        shapes += direction * (2 if spec.bidirectional else 1)
    if len(weights) != len(shapes):
        raise ConfigError(
            f"ostinato::recurrent cannot run: it is given {len(weights)} weights; it must have {len(shapes)}."
        )
    for k, shape in enumerate(shapes):
        yield f"weights[{k}]", weights[k], torch.float32, shape


def _outputs(
    spec: Spec, x: Tensor, ids: Tensor | None, y: Tensor, dy: Tensor | None, dh_n: Tensor | None, dc_n: Tensor | None
) -> Iterator[Claim]:
    shape = ((x if ids is None else ids).shape[0], spec.hidden_size * (2 if spec.bidirectional else 1))
    yield "y", y, torch.float32, shape
    yield "dy", dy, torch.float32, shape
    yield "dh_n", dh_n, torch.float32, _state_shape(spec)
    yield "dc_n", dc_n, torch.float32, _state_shape(spec)


def _state_shape(spec: Spec) -> tuple[int, int, int]:
    return spec.num_layers * (2 if spec.bidirectional else 1), spec.batch_size, spec.hidden_size


# ---- registration ----------------------------------------------------------------------------------------------------

_INPUTS = "Tensor x, Tensor? ids, Tensor? lengths, Tensor? h0, Tensor? c0, Tensor[] weights"
_SPEC = "str cell, int hidden_size, int num_layers, bool bidirectional, bool bias, str order, SymInt batch_size, SymInt padded_length"
_SCHEMAS = (
    f"recurrent({_INPUTS}, {_SPEC}, int kept) -> (Tensor y, Tensor h_n, Tensor c_n, Tensor saved)",
    f"recurrent_backward(Tensor y, Tensor saved, Tensor? dy, Tensor? dh_n, Tensor? dc_n, {_INPUTS}, {_SPEC}, bool[] wanted) -> Tensor[]",
)

_operators = torch.library.Library("ostinato", "DEF")  # type: ignore[no-untyped-call]  # what is registered lives as long as this
for _schema in _SCHEMAS:
    _operators.define(_schema, tags=torch.Tag.pt2_compliant_tag)  # type: ignore[no-untyped-call]
_operators.impl("recurrent", _forward, "CPU")  # type: ignore[no-untyped-call]
_operators.impl("recurrent_backward", _backward, "CPU")  # type: ignore[no-untyped-call]
torch.library.register_fake("ostinato::recurrent", _forward_sizes, lib=_operators)
torch.library.register_fake("ostinato::recurrent_backward", _backward_sizes, lib=_operators)
torch.library.register_autograd("ostinato::recurrent", _differentiate, setup_context=_keep, lib=_operators)
torch.library.register_autograd("ostinato::recurrent_backward", NoSecondDerivative.backward, lib=_operators)
