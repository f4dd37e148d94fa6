"""A step of AdamW with clipped gradients in the kernel: one call for all parameters, on several threads."""

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ostinato.nn.kernel import binding
from ostinato.nn.kernel.binding import AdamW
from ostinato.nn.kernel.threads import num_threads


def can_update(tensors: Sequence[Tensor]) -> bool:
    """Whether the kernel is available and can read and write these tensors in place."""
    return binding.library() is not None and all(
        tensor.dtype is torch.float32 and tensor.is_cpu and tensor.layout is torch.strided and tensor.is_contiguous()
        for tensor in tensors
    )


def adamw(
    weights: Sequence[Tensor],
    gradients: Sequence[Tensor],
    means: Sequence[Tensor],
    squares: Sequence[Tensor],
    steps: Sequence[Tensor],
    *,
    rates: Sequence[float],
    decays: Sequence[float],
    betas: tuple[float, float],
    eps: float,
    limit: float,
) -> float:
    """Update weights, both moments and the numbers of steps in place, unless a gradient is NaN or infinite.

    Bits do not depend on the number of threads.

    Args:
        means, squares: the running means of the gradients and of their squares.
        steps: float32 scalars, the number of steps before this one.
        rates, decays: of each tensor, the learning rate and the weight decay.
        limit: the gradients are scaled down to this norm where theirs is above it.

    Returns:
        The norm of all gradients together, before they are scaled.
    """
    sizes = (ctypes.c_int64 * len(weights))(*[weight.numel() for weight in weights])
    per_tensor = [(ctypes.c_double * len(weights))(*values) for values in (rates, decays)]
    pointers = [
        (ctypes.c_void_p * len(weights))(*[tensor.data_ptr() for tensor in tensors])
        for tensors in (weights, gradients, means, squares, steps)
    ]
    arrays: list[Any] = [sizes, *per_tensor, *pointers]
    call = AdamW(len(weights), *betas, eps, limit, *map(ctypes.addressof, arrays))
    norm = ctypes.c_double()
    binding.check(binding.built_library().ostinato_adamw(ctypes.byref(call), ctypes.byref(norm), num_threads()))
    return norm.value
