"""How far the answers of two forward passes are apart: the Kullback-Leibler divergence of their probabilities."""

from torch import Tensor
from torch.nn import functional as F


def categorical_divergence(logits: Tensor, others: Tensor) -> Tensor:
    """KL(p ‖ q) = Σ p · (log p − log q), with p of `logits` and q of `others`. (B, C), (B, C) -> (B,)."""
    log_p, log_q = logits.log_softmax(dim=1), others.log_softmax(dim=1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=1)


def bernoulli_divergence(logits: Tensor, others: Tensor) -> Tensor:
    """KL(p ‖ q) of each label by itself, summed over the labels. (B, L), (B, L) -> (B,)."""
    present = logits.sigmoid() * (F.logsigmoid(logits) - F.logsigmoid(others))
    absent = (-logits).sigmoid() * (F.logsigmoid(-logits) - F.logsigmoid(-others))
    return (present + absent).sum(dim=1)
