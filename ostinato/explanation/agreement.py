"""How far the methods of explanation agree with each other on the same sequences."""

from itertools import combinations
from typing import NamedTuple

import numpy as np

from ostinato.errors import ConfigError
from ostinato.explanation.attribution import Explanation

FEWEST_TOKENS = 3  # of two tokens the correlation is always 1 or −1
TOP = 10  # percent of the tokens


class Agreement(NamedTuple):
    """How far two methods agree.

    Args:
        one, other: the methods.
        correlation: Spearman's, of the scores of a sequence, the mean over the sequences; None where none is left.
        overlap: of the 10 % of tokens with the largest scores, the share that both name; by chance about 0.1. None likewise.
        n: sequences compared.
        left_out: sequences of fewer than 3 tokens, or to all of whose tokens a method gives the same score.
    """

    one: str
    other: str
    correlation: float | None
    overlap: float | None
    n: int
    left_out: int


def agreement(explanations: dict[str, list[Explanation]]) -> list[Agreement]:
    """Compare each pair of methods; attention has no sign, so it is compared with the other's absolute scores.

    Args:
        explanations: of the same sequences and labels, by method.

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
    """How far each token belongs to the top: 1, 0, or for those that tie for the last places, places per token."""
    size = -(-TOP * len(scores) // 100)
    last = np.partition(scores, -size)[-size]
    above, tied = scores > last, scores == last
    belongs: np.ndarray = above + tied * (size - above.sum()) / tied.sum()
    return belongs
