"""Conditional random fields in the kernel: sums of probabilities, or of logarithms when float32 would underflow."""

import ctypes
from typing import Any

import torch
from torch import Tensor

from ostinato.nn.kernel import binding
from ostinato.nn.kernel.binding import Crf, CrfGradients
from ostinato.nn.kernel.second_derivative import first_order_only
from ostinato.nn.kernel.shapes import check_float32
from ostinato.nn.kernel.threads import num_threads

OUT_OF_RANGE = 2  # the library's status for a tag outside 0 to C − 1


def log_likelihood(
    emissions: Tensor, tags: Tensor, lengths: Tensor, start: Tensor, transitions: Tensor, end: Tensor
) -> Tensor:
    """The log-likelihood log p(tags | emissions) of each sequence; 0 without steps.

    Args:
        emissions: (N, C), the steps of each sequence end to end.
        tags: (N,) int64.
        lengths: (B,) int64 on the CPU.
        start: (C,), like `end`; scores may be −inf.
        transitions: (C, C), from row to column.

    Returns:
        (B,); a sequence's bits do not depend on the other sequences.

    Raises:
        ConfigError: scores are not float32 or do not match the number of tags.
        IndexError: a tag is outside 0 to C − 1.
        ValueError: a length is negative, or their sum is not the number of steps.
    """
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (emissions, start, transitions, end)):
        apply: Any = _LogLikelihood.apply
        likelihood: Tensor = apply(emissions, tags, lengths, start, transitions, end)
        return likelihood
    return _forward(emissions, tags, lengths, start, transitions, end, None)


def marginals(emissions: Tensor, lengths: Tensor, start: Tensor, transitions: Tensor, end: Tensor) -> Tensor:
    """p(y_t = c | emissions), not differentiable; arguments and errors as in `log_likelihood`. (N, C) -> (N, C)."""
    emissions, start, transitions, end = (
        tensor.contiguous().resolve_neg() for tensor in (emissions, start, transitions, end)
    )
    out = torch.empty_like(emissions)
    crf = _crf(emissions, None, lengths, start, transitions, end, None)
    binding.check(
        binding.built_library().ostinato_crf_marginals(
            ctypes.byref(crf), ctypes.c_void_p(out.data_ptr()), num_threads()
        )
    )
    return out


def decode(emissions: Tensor, lengths: Tensor, start: Tensor, transitions: Tensor, end: Tensor) -> Tensor:
    """The most probable tags; ties go to the lowest. Otherwise like `log_likelihood`. (N, C) -> (N,) int64."""
    emissions, start, transitions, end = (
        tensor.contiguous().resolve_neg() for tensor in (emissions, start, transitions, end)
    )
    out = lengths.new_empty(len(emissions))
    crf = _crf(emissions, None, lengths, start, transitions, end, None)
    binding.check(
        binding.built_library().ostinato_crf_decode(ctypes.byref(crf), ctypes.c_void_p(out.data_ptr()), num_threads())
    )
    return out


class _LogLikelihood(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, tags: Tensor, lengths: Tensor, start: Tensor, transitions: Tensor, end: Tensor
    ) -> Tensor:
        ctx.saved = _new_saved(emissions)
        ctx.save_for_backward(emissions, tags, lengths, start, transitions, end)
        return _forward(emissions, tags, lengths, start, transitions, end, ctx.saved)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        emissions, tags, lengths, start, transitions, end = ctx.saved_tensors
        saved, ctx.saved = ctx.saved, None
        if saved is None:  # the second backward of a retained graph: the first has overwritten it
            saved = _new_saved(emissions)
            _forward(emissions, tags, lengths, start, transitions, end, saved)
        gradient, emissions, tags, start, transitions, end = (
            tensor.contiguous().resolve_neg() for tensor in (gradient, emissions, tags, start, transitions, end)
        )
        demissions, dstart, dtransitions, dend = (
            torch.empty_like(tensor) for tensor in (emissions, start, transitions, end)
        )
        crf = _crf(emissions, tags, lengths, start, transitions, end, saved)
        gradients = CrfGradients(*(tensor.data_ptr() for tensor in (gradient, demissions, dstart, dtransitions, dend)))
        binding.check(
            binding.built_library().ostinato_crf_backward(ctypes.byref(crf), ctypes.byref(gradients), num_threads())
        )
        emissions_gradient, *others = first_order_only(
            [demissions, dstart, dtransitions, dend], [gradient, emissions, start, transitions, end]
        )
        return emissions_gradient, None, None, *others


def _new_saved(emissions: Tensor) -> Tensor:
    """An empty tensor for scores and sums of each step's tags, rounded up to whole vectors, and a flag per step."""
    steps, num_tags = emissions.shape
    return emissions.new_empty(steps * (2 * ((num_tags + 15) // 16 * 16) + 1))


def _forward(
    emissions: Tensor,
    tags: Tensor,
    lengths: Tensor,
    start: Tensor,
    transitions: Tensor,
    end: Tensor,
    saved: Tensor | None,
) -> Tensor:
    emissions, tags, start, transitions, end = (
        tensor.contiguous().resolve_neg() for tensor in (emissions, tags, start, transitions, end)
    )
    out = emissions.new_empty(len(lengths))
    crf = _crf(emissions, tags, lengths, start, transitions, end, saved)
    status = binding.built_library().ostinato_crf(ctypes.byref(crf), ctypes.c_void_p(out.data_ptr()), num_threads())
    if status == OUT_OF_RANGE:
        raise IndexError(f"tags are {int(tags.min())} to {int(tags.max())}. Expected 0 to {emissions.shape[1] - 1}.")
    binding.check(status)
    return out


def _crf(
    emissions: Tensor,
    tags: Tensor | None,
    lengths: Tensor,
    start: Tensor,
    transitions: Tensor,
    end: Tensor,
    saved: Tensor | None,
) -> Crf:
    C = emissions.shape[1]
    check_float32([("start", start, (C,)), ("transitions", transitions, (C, C)), ("end", end, (C,))])
    pointers = (
        None if tensor is None else tensor.data_ptr()
        for tensor in (lengths, emissions, start, transitions, end, tags, saved)
    )
    return Crf(len(lengths), *emissions.shape, *pointers)
