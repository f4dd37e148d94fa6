"""Running a cell over the steps of a padded batch, as fast as torch's operations allow."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

State = tuple[Tensor, ...]  # (h,) or (h, c), each (B, H)
Gates = dict[str, Tensor]  # keyed by the letters of the equation, each (B, H)
OverTime = Callable[[Tensor, State, Any], Tensor]  # (x (T, B, D), state, weights) -> h of every step (T, B, H)

CHUNK = 16  # steps of a scan that run one after the other; all chunks run at once


def by_kernel(kernel: Callable[..., tuple[Tensor, ...]]) -> OverTime:
    """PyTorch's own function for the cell: oneDNN on the CPU, cuDNN on a GPU."""

    def over_time(x: Tensor, state: State, weights: Any) -> Tensor:
        # train=True whenever gradients are enabled: cuDNN refuses the backward of a call with train=False
        num_layers, dropout, train, bidirectional, batch_first = 1, 0.0, torch.is_grad_enabled(), False, False
        start = [part.unsqueeze(0) for part in state]  # (B, H) -> (L=1, B, H)
        return kernel(
            x,
            start if len(start) > 1 else start[0],
            list(weights),
            True,
            num_layers,
            dropout,
            train,
            bidirectional,
            batch_first,
        )[0]

    return over_time


def step_by_step(step: Callable[[Tensor, State, Any], State]) -> OverTime:
    """One step after the other: slow, for any cell."""

    def over_time(x: Tensor, state: State, weights: Any) -> Tensor:
        outputs = []
        for x_t in x:  # (T, B, D) -> T × (B, D)
            state = step(x_t, state, weights)
            outputs.append(state[0])
        return torch.stack(outputs)

    return over_time


def by_steps(inputs: Callable[[Tensor, Any], Tensor], recur: Callable[[Tensor, State, Any], State]) -> OverTime:
    """`inputs` for all steps at once, then `recur` step by step."""

    def over_time(x: Tensor, state: State, weights: Any) -> Tensor:
        outputs = []
        for sums in inputs(x, weights).unbind(0):  # (T, B, G·H) -> T × (B, G·H)
            state = recur(sums, state, weights)
            outputs.append(state[0])
        return torch.stack(outputs)

    return over_time


def by_scan(terms: Callable[[Tensor, Any], tuple[Tensor, Tensor]]) -> OverTime:
    """A linear recurrence h' = a·h + b, by `scan`.

    Args:
        terms: `(x (T, B, D), weights) -> a, b`, each (T, B, H).
    """

    def over_time(x: Tensor, state: State, weights: Any) -> Tensor:
        (h,) = state
        return scan(*terms(x, weights), h)

    return over_time


def scan(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """Every state of h' = a·h + b: all chunks at once from zero, then corrected for the state at each chunk's start.

    The correction is the product of the chunk's a so far, times the state before the chunk, which a scan over the
    chunks' last states gives. With |a| ≤ 1 the product only shrinks, so it underflows only when it no longer matters.
    The papers of these cells scan sums of logarithms instead (Heinsen 2023, arXiv:2311.06281), which lose precision in
    float32 when a gate is closed.

    Shapes:
        a, b (T, B, H) and the initial state h (B, H), real or complex -> (T, B, H). The bits of a step do not depend on
        later steps.

    Source: Blelloch (1990), Prefix sums and their applications, section 1.4; Martin & Cundy (2018), arXiv:1709.04057.
    """
    T = len(a)
    if T <= CHUNK:
        states = [h]
        for a_t, b_t in zip(a.unbind(0), b.unbind(0), strict=True):
            states.append(torch.addcmul(b_t, a_t, states[-1]))
        return torch.stack(states[1:])
    chunks = -(-T // CHUNK)
    padding = (0, 0, 0, 0, 0, chunks * CHUNK - T)
    (a_k, *more_a), (b_k, *more_b) = (
        F.pad(part, padding).view(chunks, CHUNK, *part.shape[1:]).unbind(1) for part in (a, b)
    )  # CHUNK × (chunks, B, H)
    products, states = [a_k], [b_k]
    for a_k, b_k in zip(more_a, more_b, strict=True):
        products.append(a_k * products[-1])
        states.append(torch.addcmul(b_k, a_k, states[-1]))
    ends = scan(products[-1], states[-1], h)
    before = torch.cat([h.unsqueeze(0), ends[:-1]])
    return torch.addcmul(torch.stack(states, 1), torch.stack(products, 1), before.unsqueeze(1)).flatten(0, 1)[:T]
