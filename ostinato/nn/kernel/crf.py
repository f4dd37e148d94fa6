"""Conditional random fields in the kernel: sums of probabilities instead of logarithms where float32 can hold them."""

import ctypes
from typing import Any

import torch
from torch import Tensor

from ostinato.nn.kernel import binding
from ostinato.nn.kernel.binding import Crf, CrfGradients
from ostinato.nn.kernel.second_derivative import first_order_only

OUT_OF_RANGE = 2  # the library's status for a tag outside 0 to C − 1


def log_likelihood(
    emissions: Tensor, tags: Tensor, lengths: Tensor, start: Tensor, transitions: Tensor, end: Tensor
) -> Tensor:
    """The logarithm of p(tags | emissions) of each sequence; 0 without steps.

    Args:
        emissions: (N, C), the steps of each sequence end to end.
        tags: (N,) int64.
        lengths: (B,) int64 on the CPU.
        start: (C,), as `end`; scores may be −inf.
        transitions: (C, C), from row to column.

    Returns:
        (B,); the bits of a sequence do not depend on the others.

    Raises:
        IndexError: a tag is not 0 to C − 1.
        ValueError: lengths are negative or do not add up.
    """
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (emissions, start, transitions, end)):
        likelihood: Tensor = _LogLikelihood.apply(emissions, tags, lengths, start, transitions, end)  # type: ignore[no-untyped-call]
        return likelihood
    return _forward(emissions, tags, lengths, start, transitions, end, None)


def marginals(emissions: Tensor, lengths: Tensor, start: Tensor, transitions: Tensor, end: Tensor) -> Tensor:
    """p(y_t = c | emissions), without a derivative; arguments and errors as of `log_likelihood`. (N, C) -> (N, C)."""
    emissions, start, transitions, end = (tensor.contiguous() for tensor in (emissions, start, transitions, end))
    out = torch.empty_like(emissions)
    crf = _crf(emissions, None, lengths, start, transitions, end, None)
    binding.check(
        binding.built_library().ostinato_crf_marginals(
            ctypes.byref(crf), ctypes.c_void_p(out.data_ptr()), torch.get_num_threads()
        )
    )
    return out


def decode(emissions: Tensor, lengths: Tensor, start: Tensor, transitions: Tensor, end: Tensor) -> Tensor:
    """The most probable tags; of equals the lowest. Arguments and errors as of `log_likelihood`. (N, C) -> (N,) int64."""
    emissions, start, transitions, end = (tensor.contiguous() for tensor in (emissions, start, transitions, end))
    out = lengths.new_empty(len(emissions))
    crf = _crf(emissions, None, lengths, start, transitions, end, None)
    binding.check(
        binding.built_library().ostinato_crf_decode(
            ctypes.byref(crf), ctypes.c_void_p(out.data_ptr()), torch.get_num_threads()
        )
    )
    return out


class _LogLikelihood(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, tags: Tensor, lengths: Tensor, start: Tensor, transitions: Tensor, end: Tensor
    ) -> Tensor:
        ctx.kept = _room(emissions)
        ctx.save_for_backward(emissions, tags, lengths, start, transitions, end)
        return _forward(emissions, tags, lengths, start, transitions, end, ctx.kept)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        emissions, tags, lengths, start, transitions, end = ctx.saved_tensors
        kept, ctx.kept = ctx.kept, None
        if kept is None:  # a second backward of a retained graph: the first has overwritten what was kept
            kept = _room(emissions)
            _forward(emissions, tags, lengths, start, transitions, end, kept)
        gradient, emissions, tags, start, transitions, end = (
            tensor.contiguous() for tensor in (gradient, emissions, tags, start, transitions, end)
        )
        demissions, dstart, dtransitions, dend = (
            torch.empty_like(tensor) for tensor in (emissions, start, transitions, end)
        )
        crf = _crf(emissions, tags, lengths, start, transitions, end, kept)
        gradients = CrfGradients(*(tensor.data_ptr() for tensor in (gradient, demissions, dstart, dtransitions, dend)))
        binding.check(
            binding.built_library().ostinato_crf_backward(
                ctypes.byref(crf), ctypes.byref(gradients), torch.get_num_threads()
            )
        )
        found, *others = first_order_only(
            [demissions, dstart, dtransitions, dend], [gradient, emissions, start, transitions, end]
        )
        return found, None, None, *others


def _room(emissions: Tensor) -> Tensor:
    """For scores and sums of each step's tags, these rounded up to whole vectors, and a mark of each step."""
    steps, num_tags = emissions.shape
    return emissions.new_empty(steps * (2 * ((num_tags + 15) // 16 * 16) + 1))


def _forward(
    emissions: Tensor,
    tags: Tensor,
    lengths: Tensor,
    start: Tensor,
    transitions: Tensor,
    end: Tensor,
    kept: Tensor | None,
) -> Tensor:
    emissions, tags, start, transitions, end = (
        tensor.contiguous() for tensor in (emissions, tags, start, transitions, end)
    )
    out = emissions.new_empty(len(lengths))
    crf = _crf(emissions, tags, lengths, start, transitions, end, kept)
    status = binding.built_library().ostinato_crf(
        ctypes.byref(crf), ctypes.c_void_p(out.data_ptr()), torch.get_num_threads()
    )
    if status == OUT_OF_RANGE:
        raise IndexError(
            f"a tag is not one of the {emissions.shape[1]} tags: they are {int(tags.min())} to {int(tags.max())}"
        )
    binding.check(status)
    return out


def _crf(
    emissions: Tensor,
    tags: Tensor | None,
    lengths: Tensor,
    start: Tensor,
    transitions: Tensor,
    end: Tensor,
    kept: Tensor | None,
) -> Crf:
    pointers = (
        None if tensor is None else tensor.data_ptr()
        for tensor in (lengths, emissions, start, transitions, end, tags, kept)
    )
    return Crf(len(lengths), *emissions.shape, *pointers)
