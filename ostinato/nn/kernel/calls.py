"""One call of the library for a stack of recurrent layers: tensors in, tensors out, no autograd."""

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ostinato.errors import ConfigError
from ostinato.nn import cells
from ostinato.nn.kernel import binding
from ostinato.nn.kernel.binding import CELLS, ORDERS, PRECISIONS, Gradients, Stack
from ostinato.nn.kernel.shapes import Claim, check_float32, check_weights, stack_weights
from ostinato.nn.kernel.threads import num_threads

Result = tuple[Tensor, Tensor, Tensor | None]

# Of cells with more states than h: how many more. `c` has them side by side, (…, states · H).
WITH_C = {name: cells.CELLS[name].states - 1 for name in CELLS if cells.CELLS[name].states > 1}


class Spec(NamedTuple):
    """A call apart from its tensors.

    Args:
        cell: `rnn_tanh`, `rnn_relu`, `lstm`, `gru`, `lnlstm` or `slstm`.
        hidden_size: H.
        num_layers: L.
        bidirectional: whether each layer has two directions.
        bias: whether each direction has more than its two matrices: `bias_ih` and `bias_hh`, or the cell's others.
        order: `ragged` (rows are the steps, sequence by sequence), `batch_first` (rows b·T + t of a padded block)
            or `time_first` (rows t·B + b).
        batch_size: B.
        padded_length: T of a padded block; 0 for `ragged`.
        precision: `float32`; `bfloat16` for products of bfloat16 numbers with float32 sums, where it is available; or
            `int8` for products of states with weights in integers, which a training forward computes in float32.
    """

    cell: str
    hidden_size: int
    num_layers: int
    bidirectional: bool
    bias: bool
    order: str
    batch_size: int
    padded_length: int
    precision: str = "float32"


class SavedSize(NamedTuple):
    """Floats that training saves: so many for each step, and more for the whole batch."""

    per_step: int
    per_batch: int

    def of(self, steps: int) -> int:
        """The floats of a batch; the library saves whole groups of 16 steps."""
        return (steps + 15) // 16 * 16 * self.per_step + self.per_batch


@lru_cache(maxsize=256)
def saved_size(
    cell: str, num_layers: int, directions: int, input_size: int, hidden_size: int, precision: str
) -> SavedSize:
    """What a training forward of a stack saves, by the library's own account."""

    def floats(steps: int) -> int:
        stack = Stack(
            cell=CELLS.index(cell),
            num_layers=num_layers,
            num_directions=directions,
            num_steps=steps,
            input_size=input_size,
            hidden_size=hidden_size,
            precision=PRECISIONS.index(precision),
        )
        return int(binding.built_library().ostinato_saved_floats(ctypes.byref(stack)))

    per_step = (floats(32) - floats(16)) // 16
    return SavedSize(per_step, floats(16) - 16 * per_step)


def saved_floats(spec: Spec, x: Tensor, ids: Tensor | None) -> int:
    """Floats that a training forward saves; for a padded block an upper bound that ignores the lengths."""
    directions = 2 if spec.bidirectional else 1
    size = saved_size(spec.cell, spec.num_layers, directions, x.shape[1], spec.hidden_size, spec.precision)
    return size.of((x if ids is None else ids).shape[0])


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
    """Run the kernel forward. Writes what backward needs to `saved` if given."""
    directions = 2 if spec.bidirectional else 1
    rows = (x if ids is None else ids).shape[0]
    x, h0, c0 = x.contiguous().resolve_neg(), dense(h0), dense(c0)
    weights = [weight.contiguous().resolve_neg() for weight in weights]
    width = directions * spec.hidden_size
    y = x.new_zeros(rows, width) if lengths is not None and spec.padded_length else x.new_empty(rows, width)
    h_n = x.new_empty(spec.num_layers * directions, spec.batch_size, spec.hidden_size)
    c_n = x.new_empty(*h_n.shape[:2], WITH_C[spec.cell] * spec.hidden_size) if spec.cell in WITH_C else None
    stack, _pointers = stack_of(spec, x, ids, lengths, h0, c0, weights, y, h_n, c_n, saved)
    binding.check(binding.built_library().ostinato_forward(ctypes.byref(stack)))
    return y, h_n, c_n


def run_backward(
    spec: Spec,
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
    """Run the kernel backward, which overwrites `saved`.

    Returns:
        The gradients of x, h0, c0 and the weights, None where not `wanted`.

    Raises:
        ConfigError: a gradient of the cell states of `slstm`.
    """
    if spec.cell == "slstm" and (dc_n is not None or wanted[2]):
        raise ConfigError("The kernel has no gradient of slstm's cell states. Detach them.")
    x, h0, c0 = x.contiguous().resolve_neg(), dense(h0), dense(c0)
    weights = [weight.contiguous().resolve_neg() for weight in weights]
    dy, dh_n, dc_n = dense(dy), dense(dh_n), dense(dc_n)
    stack, _pointers = stack_of(spec, x, ids, lengths, h0, c0, weights, None, None, None, saved)
    dx = None
    if wanted[0]:
        # the kernel does not write the rows of padding, nor a table that no step reads
        has_gaps = (lengths is not None and spec.padded_length > 0) or (ids is not None and not len(ids))
        dx = torch.zeros_like(x) if has_gaps else torch.empty_like(x)
    dh0 = torch.empty_like(h0) if h0 is not None and wanted[1] else None
    dc0 = torch.empty_like(c0) if c0 is not None and wanted[2] else None
    dweights = [torch.empty_like(weight) if want else None for weight, want in zip(weights, wanted[3:], strict=True)]
    pointers = weight_pointers(spec, dweights)
    gradients = Gradients(
        address(dy), address(dh_n), address(dc_n), address(dx), ctypes.addressof(pointers), address(dh0), address(dc0)
    )
    binding.check(binding.built_library().ostinato_backward(ctypes.byref(stack), ctypes.byref(gradients)))
    return [dx, dh0, dc0, *dweights]


def stack_of(
    spec: Spec,
    x: Tensor,
    ids: Tensor | None,
    lengths: Tensor | None,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
    y: Tensor | None,
    h_n: Tensor | None,
    c_n: Tensor | None,
    saved: Tensor | None,
) -> tuple[Stack, Any]:
    """The C structure of a call, and the array of pointers that must stay alive with it.

    Raises:
        ConfigError: a weight is not float32, or of another shape than the specification and the width of x require.
    """
    directions = 2 if spec.bidirectional else 1
    expected = stack_weights(spec.cell, spec.num_layers, directions, spec.bias, x.shape[1], spec.hidden_size)
    check_weights(expected, weights)
    steps = (x if ids is None else ids).shape[0]
    if spec.padded_length and lengths is not None:
        steps = int(lengths.sum())
    pointers = weight_pointers(spec, weights)
    stack = Stack(
        CELLS.index(spec.cell),
        spec.num_layers,
        directions,
        ORDERS.index(spec.order),
        num_threads(),
        saved is not None,
        PRECISIONS.index(spec.precision),
        spec.batch_size,
        steps,
        spec.padded_length,
        x.shape[1],
        spec.hidden_size,
        x.shape[0],
        address(lengths),
        address(ids),
        x.data_ptr(),
        ctypes.addressof(pointers),
        address(h0),
        address(c0),
        address(y),
        address(h_n),
        address(c_n),
        address(saved),
    )
    return stack, pointers


def weight_pointers(spec: Spec, tensors: Sequence[Tensor | None]) -> Any:
    addresses = [address(tensor) for tensor in tensors]
    if not spec.bias:
        addresses = [address for k in range(0, len(addresses), 2) for address in (*addresses[k : k + 2], None, None)]
    return (ctypes.c_void_p * len(addresses))(*addresses)


def address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def dense(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous().resolve_neg()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute x · weightᵀ + bias without gradient. (N, D) -> (N, H).

    Unlike with a BLAS, the bits of a row do not depend on the other rows.

    Raises:
        ConfigError: a tensor is not float32, or the shapes do not match.
    """
    claims: list[Claim] = [("weight", weight, (len(weight), x.shape[1]))]
    if bias is not None:
        claims.append(("bias", bias, (len(weight),)))
    check_float32(claims)
    x, weight, bias = x.contiguous().resolve_neg(), weight.contiguous().resolve_neg(), dense(bias)
    out = x.new_empty(x.shape[0], weight.shape[0])
    library = binding.built_library()
    binding.check(
        library.ostinato_linear(
            x.data_ptr(),
            weight.data_ptr(),
            address(bias),
            out.data_ptr(),
            *x.shape,
            weight.shape[0],
            num_threads(),
        )
    )
    return out
