"""AdamW, and the schedule of its learning rate."""

import math

import torch
from torch import Tensor, nn

from ostinato.config import TrainingConfig
from ostinato.nn.decay import decays


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019), fused; weight matrices decay, embeddings, biases and norms do not."""
    with_decay = {id(parameter) for parameter in decays(model)}
    decaying: list[Tensor] = []
    others: list[Tensor] = []
    for parameter in model.parameters():
        (decaying if id(parameter) in with_decay else others).append(parameter)
    groups = [{"params": decaying, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)


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
        group["lr"] = config.lr * scale
