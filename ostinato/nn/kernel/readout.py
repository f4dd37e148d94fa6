"""A stack of recurrent layers, poolings and an output layer in one call of the kernel, as a differentiable function.

For small models the operations around the layers cost more than the layers themselves.
"""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ostinato.nn.kernel import binding
from ostinato.nn.kernel.binding import POOLINGS, PRECISIONS, Gradients, Stack
from ostinato.nn.kernel.binding import Readout as Call
from ostinato.nn.kernel.binding import ReadoutGradients as CallGradients
from ostinato.nn.kernel.buffers import Buffer, take_buffer
from ostinato.nn.kernel.calls import Spec, address, dense, saved_floats, stack_of, weight_pointers
from ostinato.nn.kernel.second_derivative import needs_reference
from ostinato.nn.kernel.shapes import Claim, attention_claims, check_float32
from ostinato.nn.kernel.threads import num_threads

ByParts = Callable[[Tensor, Sequence[Tensor]], Tensor]


class Readout(NamedTuple):
    """How one vector of outputs is read from the steps of a sequence, apart from tensors.

    Args:
        poolings: any of `last`, `mean`, `max` and `attention`, in the order of their vectors.
        by_step: sum attention step by step where there are no gradients, so that a sequence in pieces gives the bits of
            the whole.
    """

    poolings: tuple[str, ...]
    by_step: bool

    @property
    def num_weights(self) -> int:
        """How many of the weights belong to the readout."""
        return 5 if "attention" in self.poolings else 2


class Inputs(NamedTuple):
    """What a call reads.

    Args:
        x: (N, D) values, or with `ids` a table (V, D) of which each step reads one row.
        ids: (N,) int64 rows of the table.
        lengths: (B,) int64 on the CPU.
        factors: (B, P), what the pooled vectors are multiplied by, as in dropout; None: 1.
        weights: those of the stack, as for `recurrent`; those of attention, where there is one: project (H, H), its
            bias (H,), score (1, H); those of the output layer: (C, P), (C,).
    """

    x: Tensor
    ids: Tensor | None
    lengths: Tensor
    factors: Tensor | None
    weights: Sequence[Tensor]


class Made(NamedTuple):
    """What forward leaves for backward, which overwrites `saved` and `u`.

    Args:
        saved: of the stack; None without gradients.
        y: (N, H), the stack's output.
        pooled: (B, P rounded up to a multiple of 16).
        a, u: of attention.
    """

    saved: Buffer | None
    y: Tensor
    pooled: Tensor
    a: Tensor | None
    u: Tensor | None


def read_out(spec: Spec, readout: Readout, inputs: Inputs, by_parts: ByParts) -> Tensor:
    """The outputs of a stack, poolings and a linear layer for each sequence of a ragged batch.

    Args:
        by_parts: the same by differentiable operations, from x and the weights, for second derivatives and batches of
            gradients.

    Returns:
        (B, C); without gradients, a sequence's bits do not depend on the other sequences.

    Raises:
        IndexError: an id is outside the table.
        ValueError: a length is negative, or their sum is not the number of steps.
    """
    x, ids, lengths, factors, weights = inputs
    if torch.is_grad_enabled() and (x.requires_grad or any(weight.requires_grad for weight in weights)):
        outputs: Tensor = _ReadOut.apply(  # type: ignore[no-untyped-call]
            spec, readout, by_parts, ids, lengths, factors, x, *weights
        )
        return outputs
    return InferenceCall(spec, readout, inputs).run(x, ids, lengths, spec.precision)


class InferenceCall:
    """A call without gradients, apart from its sequences. It reads the weights where they are in memory.

    Args:
        inputs: of the first call; the others have the same weights and factors.

    Attributes:
        is_in_place: whether it reads the weights that it was given, not copies.
    """

    def __init__(self, spec: Spec, readout: Readout, inputs: Inputs) -> None:
        first = _dense(inputs)
        self._kept = (first.weights, first.factors)  # what the pointers refer to
        self.is_in_place = all(ours is given for ours, given in zip(first.weights, inputs.weights, strict=True))
        self._width = spec.hidden_size * (2 if spec.bidirectional else 1)
        self._num_pooled, self._num_outputs = self._width * len(readout.poolings), len(inputs.weights[-1])
        made = Made(None, first.x, first.x, None, None)  # `run` replaces them
        self._stack, self._call, self._pointers = _structures(spec, readout, first, made, None)

    def run(self, x: Tensor, ids: Tensor | None, lengths: Tensor, precision: str) -> Tensor:
        """The outputs (B, C) of sequences; x, ids and lengths as in `Inputs`."""
        x = x.contiguous().resolve_neg()
        steps, batch_size = (x if ids is None else ids).shape[0], lengths.shape[0]
        y, pooled = x.new_empty(steps, self._width), x.new_empty(batch_size, _rounded(self._num_pooled))
        outputs = x.new_empty(batch_size, self._num_outputs)
        stack, call = Stack.from_buffer_copy(self._stack), Call.from_buffer_copy(self._call)
        stack.threads, stack.precision = num_threads(), PRECISIONS.index(precision)
        stack.batch_size, stack.num_steps, stack.table_rows = batch_size, steps, x.shape[0]
        stack.lengths, stack.ids, stack.x, stack.y = lengths.data_ptr(), address(ids), x.data_ptr(), y.data_ptr()
        call.pooled, call.out = pooled.data_ptr(), outputs.data_ptr()
        binding.check(binding.built_library().ostinato_read_out(ctypes.byref(stack), ctypes.byref(call)))
        return outputs


class _ReadOut(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        spec: Spec,
        readout: Readout,
        by_parts: ByParts,
        ids: Tensor | None,
        lengths: Tensor,
        factors: Tensor | None,
        x: Tensor,
        *weights: Tensor,
    ) -> Tensor:
        ctx.spec, ctx.readout, ctx.by_parts = spec, readout, by_parts
        ctx.save_for_backward(ids, lengths, factors, x, *weights)
        outputs, ctx.made = _forward(
            spec,
            readout,
            Inputs(x, ids, lengths, factors, weights),
            take_buffer(saved_floats(spec, x, ids)),
        )
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        ids, lengths, factors, x, *weights = ctx.saved_tensors
        wanted = ctx.needs_input_grad[6:]
        if needs_reference((gradient,)):
            found = _gradients_by_parts(ctx.by_parts, x, weights, gradient, wanted)
            return None, None, None, None, None, None, *found
        inputs = Inputs(x, ids, lengths, factors, weights)
        made, ctx.made = ctx.made, None
        if made is None:  # the second backward of a retained graph: the first has overwritten what forward made
            made = _forward(ctx.spec, ctx.readout, inputs, take_buffer(saved_floats(ctx.spec, x, ids)))[1]
        return None, None, None, None, None, None, *_backward(ctx.spec, ctx.readout, inputs, made, gradient, wanted)


def _forward(spec: Spec, readout: Readout, inputs: Inputs, saved: Buffer) -> tuple[Tensor, Made]:
    """Run the kernel forward; `saved` takes what backward needs of the stack."""
    inputs = _dense(inputs)
    x, ids, _lengths, _, weights = inputs
    rows, width = (x if ids is None else ids).shape[0], spec.hidden_size * (2 if spec.bidirectional else 1)
    a = u = None
    if "attention" in readout.poolings:
        a, u = x.new_empty(rows), x.new_empty(rows, _rounded(width))
    pooled = x.new_empty(spec.batch_size, _rounded(width * len(readout.poolings)))
    made = Made(saved, x.new_empty(rows, width), pooled, a, u)
    outputs = x.new_empty(spec.batch_size, weights[-1].shape[0])
    stack, call, _pointers = _structures(spec, readout, inputs, made, outputs)
    binding.check(binding.built_library().ostinato_read_out(ctypes.byref(stack), ctypes.byref(call)))
    return outputs, made


def _backward(
    spec: Spec, readout: Readout, inputs: Inputs, made: Made, gradient: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    """The gradients of x and the weights, None where not `wanted`."""
    inputs = _dense(inputs)
    gradient = gradient.contiguous().resolve_neg()
    x, ids, _, _, weights = inputs
    dx = None
    if wanted[0]:  # the kernel does not write a table that no step reads
        dx = torch.zeros_like(x) if ids is not None and not len(ids) else torch.empty_like(x)
    of_stack = len(weights) - readout.num_weights
    made_gradients = [
        torch.empty_like(weight) if is_wanted or k >= of_stack else None  # those of the readout are always written
        for k, (weight, is_wanted) in enumerate(zip(weights, wanted[1:], strict=True))
    ]
    pointers = weight_pointers(spec, made_gradients[:of_stack])
    stack_gradients = Gradients(None, None, None, address(dx), ctypes.addressof(pointers), None, None)
    *of_attention, d_weight, d_bias = (address(each) for each in made_gradients[of_stack:])
    gradients = CallGradients(gradient.data_ptr(), *(of_attention or (None, None, None)), d_weight, d_bias)
    stack, call, _pointers = _structures(spec, readout, inputs, made, None)
    references = (ctypes.byref(each) for each in (stack, call, stack_gradients, gradients))
    binding.check(binding.built_library().ostinato_read_out_backward(*references))
    found = zip(made_gradients, wanted[1:], strict=True)
    return [dx, *(each if is_wanted else None for each, is_wanted in found)]


def _gradients_by_parts(
    by_parts: ByParts, x: Tensor, weights: Sequence[Tensor], gradient: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    """The same by the derivatives of the parts."""
    is_differentiated = torch.is_grad_enabled()
    with torch.enable_grad():
        # nodes of their own in the graph: gradients with respect to them exclude paths by which x depends on a weight
        sources = [tensor.view_as(tensor) for tensor in (x, *weights)]
        outputs = by_parts(sources[0], sources[1:])
    leaves = [source for source, is_wanted in zip(sources, wanted, strict=True) if is_wanted]
    found = iter(torch.autograd.grad(outputs, leaves, gradient, create_graph=is_differentiated, allow_unused=True))
    return [next(found) if is_wanted else None for is_wanted in wanted]


def _structures(
    spec: Spec, readout: Readout, inputs: Inputs, made: Made, outputs: Tensor | None
) -> tuple[Stack, Call, Any]:
    """The C structures of a call, and the array of pointers that must stay alive with them.

    Raises:
        ConfigError: a weight is not float32, or of another shape than the specification requires.
    """
    x, ids, lengths, factors, weights = inputs
    saved, y, pooled, a, u = made
    of_stack = weights[: -readout.num_weights]
    buffer = None if saved is None else saved.tensor
    stack, pointers = stack_of(spec, x, ids, lengths, None, None, of_stack, y, None, None, buffer)
    of_readout = weights[-readout.num_weights :]
    check_float32(_claims(spec, readout, of_readout))
    *of_attention, weight, bias = (each.data_ptr() for each in of_readout)
    poolings = _numbers(readout.poolings)
    call = Call(
        len(poolings),
        readout.by_step and saved is None,
        weights[-1].shape[0],
        ctypes.addressof(poolings),
        *(of_attention or (None, None, None)),
        address(factors),
        weight,
        bias,
        pooled.data_ptr(),
        address(a),
        address(u),
        address(outputs),
    )
    return stack, call, pointers


def _claims(spec: Spec, readout: Readout, weights: Sequence[Tensor]) -> Iterator[Claim]:
    *of_attention, weight, bias = weights
    width = spec.hidden_size * (2 if spec.bidirectional else 1)
    yield "head.weight", weight, (len(bias), width * len(readout.poolings))
    yield "head.bias", bias, (len(bias),)
    if of_attention:
        project, project_bias, score = of_attention
        yield from attention_claims(project, project_bias, score, width)


@cache
def _numbers(poolings: tuple[str, ...]) -> Any:
    """The library's enumerators of poolings, an array in C."""
    return (ctypes.c_int32 * len(poolings))(*map(POOLINGS.index, poolings))


def _dense(inputs: Inputs) -> Inputs:
    x, ids, lengths, factors, weights = inputs
    weights = [weight.contiguous().resolve_neg() for weight in weights]
    return Inputs(x.contiguous().resolve_neg(), ids, lengths, dense(factors), weights)


def _rounded(floats: int) -> int:
    """Up to whole vectors."""
    return (floats + 15) // 16 * 16
