"""The kernel differentiates once: a second derivative is an error, never a wrong number."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class NoSecondDerivative(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *sources: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Any:
        raise RuntimeError(
            "The native engine has no second derivative. "
            "Run the forward inside: with ostinato.nn.use_engine('reference')."
        )


def first_order_only(gradients: Sequence[Tensor | None], sources: Sequence[Tensor]) -> list[Tensor | None]:
    """The gradients, which raise an error when differentiated again (after `create_graph=True`).

    torch's `once_differentiable` raises only if the incoming gradient requires one; otherwise it silently drops the
    second derivative.
    """
    if not torch.is_grad_enabled():
        return list(gradients)
    refuse: Any = NoSecondDerivative.apply
    return [None if gradient is None else refuse(gradient, *sources) for gradient in gradients]
