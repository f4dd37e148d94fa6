"""The loss of a training step with R-Drop, and with adversarial or virtual adversarial perturbations.

A perturbation is added to the vectors of a sequence's steps, behind the embedding. Its norm is measured in standard
deviations of the batch's vectors, dimension by dimension. This has the effect of the sources' normalised embeddings:
a network cannot evade the perturbation by vectors that grow.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ostinato.config import TrainingConfig
from ostinato.nn.layout import Layout
from ostinato.nn.network import Network
from ostinato.training.objective import AnyNetwork, Data, Objective

PROBE = 0.1  # norm of the virtual perturbation's random start, as in the source's program
TINY = 1e-30  # keeps a zero gradient from becoming NaN


def training_loss(
    model: AnyNetwork, batch: Data, objective: Objective[AnyNetwork, Data], config: TrainingConfig
) -> Tensor:
    """The batch's summed loss, with what the config adds to it."""
    if not config.r_drop and config.adversarial is None:
        return objective.loss(model, batch, config)
    masks = random_state(model.device)
    steps = Steps()
    with changed_vectors(model, steps):
        outputs = objective.outputs(model, batch, config)
    loss = objective.loss_of(model, outputs, batch, config)
    added = torch.zeros_like(loss)
    if config.adversarial is not None:
        added = config.adversarial_weight * perturbed_loss(
            model, batch, objective, config, steps=steps, outputs=outputs, loss=loss, masks=masks
        )
    if config.r_drop:
        loss = r_drop_loss(model, batch, objective, config, outputs=outputs, loss=loss)
    return loss + added


def r_drop_loss(
    model: AnyNetwork,
    batch: Data,
    objective: Objective[AnyNetwork, Data],
    config: TrainingConfig,
    *,
    outputs: Tensor,
    loss: Tensor,
) -> Tensor:
    """½ · [ℓ₁ + ℓ₂ + α · ½ · (KL(p₁ ‖ p₂) + KL(p₂ ‖ p₁))], with a second pass whose dropout masks differ.

    This is half of the source's loss, so that its size is that of training without.

    Source: Liang et al. (2021), arXiv:2106.14448, equations 1 to 3.
    """
    others = objective.outputs(model, batch, config)
    losses = loss + objective.loss_of(model, others, batch, config)
    there = objective.divergence(model, outputs, others, batch)
    back = objective.divergence(model, others, outputs, batch)
    return 0.5 * (losses + config.r_drop * 0.5 * (there + back))


def perturbed_loss(
    model: AnyNetwork,
    batch: Data,
    objective: Objective[AnyNetwork, Data],
    config: TrainingConfig,
    *,
    steps: "Steps",
    outputs: Tensor,
    loss: Tensor,
    masks: Tensor,
) -> Tensor:
    """The loss of the worst perturbation r of each sequence, to first order.

    `supervised`: ℓ(x + r), r = ε · g / ‖g‖ with g = ∇ₓ ℓ(x).
    `virtual`: KL(p(x) ‖ p(x + r)), r = ε · g / ‖g‖ with g the gradient of this divergence at a small random d instead
    of r: one power iteration. It needs no targets.

    Args:
        steps, outputs, loss: of the clean pass.
        masks: the random state before the clean pass. Perturbed passes drop what the clean pass dropped.

    Source: Miyato et al. (2017), arXiv:1605.07725, equations 3 and 8; norms are those of whole sequences.
    """
    if config.adversarial == "supervised":
        (gradient,) = torch.autograd.grad(loss, steps.vectors, retain_graph=True)
        r = steps.scaled(gradient * steps.deviation, norm=config.adversarial_norm)
        with replayed(masks, model.device), changed_vectors(model, lambda x, layout: x + r):
            return objective.loss(model, batch, config)
    clean = outputs.detach()
    d = steps.scaled(torch.randn_like(steps.vectors), norm=PROBE).requires_grad_()
    with replayed(masks, model.device), changed_vectors(model, lambda x, layout: x + d):
        probed = objective.divergence(model, clean, objective.outputs(model, batch, config), batch)
    (gradient,) = torch.autograd.grad(probed, d)
    r = steps.scaled(gradient * steps.deviation, norm=config.adversarial_norm)
    with replayed(masks, model.device), changed_vectors(model, lambda x, layout: x + r):
        return objective.divergence(model, clean, objective.outputs(model, batch, config), batch)


class Steps:
    """The vectors of a pass's steps, recorded behind the embedding.

    Attributes:
        vectors: (N, D), part of the graph.
        deviation: (D,) their standard deviation over the batch.
    """

    vectors: Tensor
    deviation: Tensor

    def __call__(self, x: Tensor, layout: Layout) -> Tensor:
        self.vectors = x if x.requires_grad else x.detach().requires_grad_()  # of frozen vectors, too
        self.layout = layout
        self.deviation = x.detach().std(dim=0, correction=0)
        return self.vectors

    def scaled(self, directions: Tensor, *, norm: float) -> Tensor:
        """A perturbation in these directions, of this norm for each sequence in standard deviations. (N, D) -> (N, D).

        Args:
            directions: in units of standard deviations.
        """
        squares = directions.square().sum(dim=1)  # (N, D) -> (N,)
        of_each = squares.new_zeros(self.layout.batch_size).index_add_(0, self.layout.sequence, squares)
        scale = norm / of_each.sqrt().clamp(min=TINY)  # (B,)
        return directions * scale[self.layout.sequence].unsqueeze(1) * self.deviation


@contextmanager
def changed_vectors(model: Network, change: Callable[[Tensor, Layout], Tensor]) -> Iterator[None]:
    """Let `change` replace the vectors of the steps in passes inside the block."""
    model.change_vectors = change
    try:
        yield
    finally:
        model.change_vectors = None


def random_state(device: torch.device) -> Tensor:
    """The state of the generator that draws the masks on a device."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


@contextmanager
def replayed(state: Tensor, device: torch.device) -> Iterator[None]:
    """Draw random numbers from `state` on inside the block, and from the present state on afterwards."""
    present = random_state(device)
    _set_random_state(state, device)
    try:
        yield
    finally:
        _set_random_state(present, device)


def _set_random_state(state: Tensor, device: torch.device) -> None:
    torch.cuda.set_rng_state(state, device) if device.type == "cuda" else torch.set_rng_state(state)
