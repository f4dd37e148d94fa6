"""A cell over the steps of a padded batch, each in the quickest way that torch's operations allow."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

State = tuple[Tensor, ...]  # (h,) or (h, c), each (B, H)
Gates = dict[str, Tensor]  # by the letters of the equation, each (B, H)
OverTime = Callable[[Tensor, State, Any], Tensor]  # (x (T, B, D), state, weights) -> h of every step (T, B, H)

CHUNK = 64  # steps of a scan at once: float32 keeps the sums of so many logarithms apart


def by_kernel(kernel: Callable[..., tuple[Tensor, ...]]) -> OverTime:
    """PyTorch's own function for the cell: oneDNN on the CPU, cuDNN on a GPU."""

    def over_time(x: Tensor, state: State, weights: Any) -> Tensor:
        # train=True whenever a gradient may be asked for: cuDNN refuses the backward of a call made with train=False
        num_layers, dropout, train, bidirectional, batch_first = 1, 0.0, torch.is_grad_enabled(), False, False
        start = [part.unsqueeze(0) for part in state]  # (B, H) -> (L=1, B, H)
        return kernel(x, start if len(start) > 1 else start[0], list(weights), True, num_layers, dropout, train, bidirectional, batch_first)[0]

    return over_time


def by_steps(inputs: Callable[[Tensor, Any], Tensor], recur: Callable[[Tensor, State, Any], State]) -> OverTime:
    """What the inputs add for all steps at once, then step by step."""

    def over_time(x: Tensor, state: State, weights: Any) -> Tensor:
        outputs = []
        for sums in inputs(x, weights).unbind(0):  # (T, B, G·H) -> T × (B, G·H)
            state = recur(sums, state, weights)
            outputs.append(state[0])
        return torch.stack(outputs)

    return over_time


def by_scan(logs: Callable[[Tensor, Any], tuple[Tensor, Tensor]]) -> OverTime:
    """A linear recurrence h' = a·h + b of positive a and b, all steps of a chunk at once, in logarithms.

    With A the running sum of log a in the chunk, h = exp(A)·(h before + Σ exp(log b − A)).

    Args:
        logs: `(x (T, B, D), weights) -> log a, log b`, each (T, B, H).

    Source: Heinsen (2023), arXiv:2311.06281.
    """

    def over_time(x: Tensor, state: State, weights: Any) -> Tensor:
        (h,) = state
        outputs = []
        for log_a, log_b in zip(*(torch.split(part, CHUNK) for part in logs(x, weights)), strict=True):
            decay = log_a.cumsum(0)  # (t, B, H)
            outputs.append(torch.exp(decay) * h + torch.exp(decay + torch.logcumsumexp(log_b - decay, 0)))
            h = outputs[-1][-1]
        return torch.cat(outputs)

    return over_time
