"""AdamW, and the schedule of its learning rate, which may differ from layer to layer."""

import math

import torch
from torch import Tensor, nn

from ostinato.config import TrainingConfig
from ostinato.nn import kernel
from ostinato.nn.decay import decays
from ostinato.nn.network import Network


class AdamW(torch.optim.AdamW):
    """torch's AdamW, whose `update` is one call of the kernel where that can update all weights in place.

    For a small model, clipping and torch's own step take a third of the time.
    """

    def update(self, limit: float | None) -> float:
        """One step, unless a gradient is NaN or infinite. Runs no hooks of the optimizer where the kernel runs it.

        Args:
            limit: the gradients are scaled down to this norm where theirs is above it.

        Returns:
            The norm of all gradients together, before they are scaled.
        """
        trained = [(each, table) for table in self.param_groups for each in table["params"] if each.grad is not None]
        weights = [each for each, _ in trained]
        gradients: list[Tensor] = [each.grad for each in weights]
        if not kernel.can_update([*weights, *gradients]):
            return self._update_by_torch(weights, gradients, limit)
        states = [self.state[each] or self._start(each) for each in weights]
        return kernel.adamw(
            weights,
            gradients,
            *([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step")),
            rates=[table["lr"] for _, table in trained],
            decays=[table["weight_decay"] for _, table in trained],
            betas=self.defaults["betas"],
            eps=self.defaults["eps"],
            limit=math.inf if limit is None else limit,
        )

    def _update_by_torch(self, weights: list[Tensor], gradients: list[Tensor], limit: float | None) -> float:
        total = nn.utils.get_total_norm(gradients)
        norm = float(total)
        if math.isfinite(norm):
            if limit is not None and norm > limit:
                nn.utils.clip_grads_with_norm_(weights, limit, total)
            self.step()
        return norm

    def _start(self, weight: Tensor) -> dict[str, Tensor]:
        """The state of a weight before its first step, as torch's own step makes it."""
        state: dict[str, Tensor] = self.state[weight]
        state["step"] = torch.zeros(())
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
        return state


def make_optimizer(model: Network, config: TrainingConfig) -> AdamW:
    """AdamW (Loshchilov & Hutter 2019); weight matrices decay, embeddings, biases and norms do not.

    If the network starts from a pre-training, the parameters of each layer are groups of their own: the layer at depth
    d below what starts fresh has the learning rate lr · init_lr_ratio^d, and is not trained before its share of
    `init_freeze`.

    Source: discriminative rates and gradual unfreezing: Howard & Ruder (2018), arXiv:1801.06146, section 3.2.
    """
    with_decay = {id(parameter) for parameter in decays(model)}
    depths = _depths(model) if model.starts_pretrained else {}
    deepest = max(depths.values(), default=0)
    groups = []
    for depth in range(deepest + 1):
        own = [each for each in model.parameters() if depths.get(id(each), 0) == depth]
        rates = {"ratio": config.init_lr_ratio**depth, "starts": config.init_freeze * depth / max(deepest, 1)}
        for is_decaying, decay in ((True, config.weight_decay), (False, 0.0)):
            chosen = [each for each in own if (id(each) in with_decay) == is_decaying]
            groups.append({"params": chosen, "weight_decay": decay, **rates})
    return AdamW(groups, lr=config.lr, fused=True)


def _depths(model: Network) -> dict[int, int]:
    """How far below what starts fresh each pretrained parameter is, by its id; 1 is the top layer, or the embedding."""
    if not model.has_pretrained_layers:
        return {id(parameter): 1 for parameter in model.embed.parameters()}
    layers = list(model.stack.layers)
    parts: list[tuple[nn.Module, int]] = [(model.embed, len(layers) + 1)]
    for number, (layer, norm) in enumerate(zip(layers, model.stack.norms, strict=True)):
        parts += [(layer, len(layers) - number), (norm, len(layers) - number)]
    return {id(parameter): depth for part, depth in parts for parameter in part.parameters()}


def set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainingConfig, progress: float) -> None:
    """Set a linear warm-up, then half a cosine down to 1 % (Loshchilov & Hutter 2017), or a constant.

    Args:
        progress: share of all steps done, from 0 to 1.
    """
    warmup = config.warmup_ratio
    if progress < warmup:
        scale = progress / warmup
    elif config.schedule == "cosine":
        scale = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
    else:
        scale = 1.0
    for group in optimizer.param_groups:
        group["lr"] = config.lr * scale * group["ratio"] if progress >= group["starts"] else 0.0
