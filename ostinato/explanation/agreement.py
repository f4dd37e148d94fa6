"""How well attribution methods agree with each other on the same sequences."""

from itertools import combinations
from typing import NamedTuple

import numpy as np

from ostinato.errors import ConfigError
from ostinato.explanation.explanation import Explanation

FEWEST_TOKENS = 3  # the correlation of two tokens is always 1 or −1
TOP = 10  # percent of the tokens


class Agreement(NamedTuple):
    """How well two methods agree.

    Args:
        one, other: the methods.
        correlation: Spearman's rank correlation of a sequence's scores, averaged over the sequences; None if n is 0.
        overlap: the share of the top 10 % of tokens that both have in common, about 0.1 by chance; None if n is 0.
        n: sequences compared.
        left_out: sequences with fewer than 3 tokens, or with the same score for all tokens by one of the methods.
    """

    one: str
    other: str
    correlation: float | None
    overlap: float | None
    n: int
    left_out: int


def agreement(explanations: dict[str, list[Explanation]]) -> list[Agreement]:
    """Compare each pair of methods; attention has no sign, so it is compared with absolute scores.

    Args:
        explanations: by method; of the same sequences and labels.

    Raises:
        ConfigError: two methods explain different sequences or labels.
    """
    return [_agree(one, other, explanations[one], explanations[other]) for one, other in combinations(explanations, 2)]


def _agree(one: str, other: str, ones: list[Explanation], others: list[Explanation]) -> Agreement:
    from scipy.stats import spearmanr

    if [(each.tokens, each.label) for each in ones] != [(each.tokens, each.label) for each in others]:
        raise ConfigError(
            f"{one!r} and {other!r} explain different sequences or labels. Explain the same ones, with the same label."
        )
    unsigned = (one == "attention") != (other == "attention")
    correlations, overlaps = [], []
    for pair in zip(ones, others, strict=True):
        first, second = (np.abs(each.scores) if unsigned else each.scores for each in pair)
        if len(first) >= FEWEST_TOKENS and np.ptp(first) > 0 and np.ptp(second) > 0:
            correlations.append(spearmanr(first, second).statistic)
            in_both = np.minimum(_top(first), _top(second))
            overlaps.append(in_both.sum() / _top(first).sum())
    n = len(correlations)
    return Agreement(
        one,
        other,
        float(np.mean(correlations)) if n else None,
        float(np.mean(overlaps)) if n else None,
        n,
        len(ones) - n,
    )


def _top(scores: np.ndarray) -> np.ndarray:
    """Whether each token is in the top: 1, 0, or a share for tokens that tie for the last ranks."""
    size = -(-TOP * len(scores) // 100)
    last = np.partition(scores, -size)[-size]
    above, tied = scores > last, scores == last
    belongs: np.ndarray = above + tied * (size - above.sum()) / tied.sum()
    return belongs
