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
            "The native engine has no second derivative. Run the forward inside: with ostinato.nn.use_engine('reference')."
        )


def first_order_only(gradients: Sequence[Tensor | None], sources: Sequence[Tensor]) -> list[Tensor | None]:
    """The gradients, which say that they know none themselves where `create_graph=True` asks for it.

    torch's `once_differentiable` says so only where the incoming gradient needs one; elsewhere the second derivative is lost without a word.
    """
    if not torch.is_grad_enabled():
        return list(gradients)
    return [None if gradient is None else NoSecondDerivative.apply(gradient, *sources) for gradient in gradients]  # type: ignore[no-untyped-call]
