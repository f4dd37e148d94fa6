"""Derivatives that the kernel does not have: of its gradients, and for batches of gradients.

Recurrent layers differentiate their reference instead. Elsewhere a second derivative is an error, never a wrong number.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.nn.kernel.calls import Spec
from ostinato.nn.reference import run_stack


def needs_reference(upstream: Sequence[Tensor | None]) -> bool:
    """Whether a backward that runs now must be differentiable (`create_graph=True`), or is batched by vmap."""
    if torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
        return True
    is_batched = torch._C._functorch.is_legacy_batchedtensor  # by `is_grads_batched=True`
    return any(gradient is not None and is_batched(gradient) for gradient in upstream)


def gradients_by_reference(
    spec: Spec,
    x: Tensor,
    ids: Tensor | None,
    lengths: Tensor | None,
    states: Sequence[Tensor | None],
    weights: Sequence[Tensor],
    upstream: Sequence[Tensor | None],
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """The gradients of x, h0, c0 and the weights by torch's own operations; None where not `wanted`.

    Args:
        states: h0 and c0.
        upstream: the gradients of y, h_n and c_n.
    """
    is_differentiated = torch.is_grad_enabled()
    with torch.enable_grad():
        # nodes of their own in the graph: gradients with respect to them exclude paths by which x depends on a weight
        sources = [None if tensor is None else tensor.view_as(tensor) for tensor in (x, *states, *weights)]
        given = [source for source in sources if source is not None]
        values, start = given[0], tuple(given[1 : -len(weights)])
        if ids is not None:
            values = F.embedding(ids, values)
        y, final = run_stack(spec, values, lengths, start, given[-len(weights) :])
    pairs = [(o, g) for o, g in zip((y, *final), upstream, strict=False) if g is not None and o.requires_grad]
    leaves = [t for t, want in zip(sources, wanted, strict=True) if want and t is not None]
    if not pairs:
        return [None] * len(wanted)
    outputs, starts = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(outputs, leaves, starts, create_graph=is_differentiated, allow_unused=True))
    return [next(found) if want and t is not None else None for t, want in zip(sources, wanted, strict=True)]


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
