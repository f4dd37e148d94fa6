"""Tokens that are drawn as negatives: whether a vocabulary needs a sample, and from which distribution it comes."""

from torch import Tensor

POWER = 0.75  # of the counts, by which negatives are drawn (Mikolov et al. 2013, arXiv:1310.4546)


def samples(num_tokens: int, negatives: int | None) -> bool:
    """Whether training estimates a sum over a vocabulary from so many drawn tokens."""
    return negatives is not None and num_tokens >= 2 * negatives


def draws_of(counts: Tensor) -> Tensor:
    """The probability to draw each token, from its occurrences. (V,) -> (V,) float64."""
    powers = counts.double().clamp(min=0.5).pow(POWER)
    return powers / powers.sum()
