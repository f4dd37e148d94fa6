"""The tokens that speak most for a label, over many sequences."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ostinato.explanation.explanation import Explanation


class TokenScore(NamedTuple):
    """A token's mean score over all its occurrences in the explained sequences."""

    token: str
    mean: float
    occurrences: int


def top_tokens(explanations: Iterable[Explanation], *, least: int = 5, most: int = 20) -> list[TokenScore]:
    """The tokens with the largest mean score, largest first.

    Args:
        explanations: all of the same label.
        least: the fewest occurrences of a token; the mean of rarer ones depends on a single sequence.
        most: the most tokens to return; only those with a mean above 0.
    """
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for explanation in explanations:
        for token, score in zip(explanation.tokens, explanation.scores.tolist(), strict=True):
            scores[token].append(score)
    found = [TokenScore(token, float(np.mean(each)), len(each)) for token, each in scores.items() if len(each) >= least]
    return sorted((each for each in found if each.mean > 0), key=lambda each: (-each.mean, each.token))[:most]
