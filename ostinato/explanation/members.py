"""Explanations of ensembles: the mean of the members' explanations, on the tokens of the first member.

The ensemble averages answers, and each member explains its own. A member that reads other tokens than the first spreads
the score of a token evenly over the letters or steps that it covers; each token of the first member collects those of
its own. What the first member does not read is left out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ostinato.explanation.model import ExplainableModel, tokens_and_offsets

Offsets = Sequence[tuple[int, int]]


def mean_scores(
    members: Sequence[ExplainableModel], weights: Sequence[float], sequence: Any, scores: Sequence[np.ndarray]
) -> np.ndarray:
    """The weighted mean of the members' scores of one sequence, (T,), on the T tokens of the first member.

    Args:
        weights: of the members.
        scores: of each member, on its own tokens.
    """
    first = members[0].encoder
    offsets = tokens_and_offsets(first, sequence)[1]
    total = np.zeros(len(offsets))
    for weight, member, own in zip(weights, members, scores, strict=True):
        is_same = member.encoder == first
        total += weight * (own if is_same else carried(own, tokens_and_offsets(member.encoder, sequence)[1], offsets))
    return total


def carried(scores: np.ndarray, own: Offsets, others: Offsets) -> np.ndarray:
    """Carry the scores of tokens (T,) over to other tokens of the same sequence (S,), by the positions they cover."""
    length = max((end for _, end in [*own, *others]), default=0)
    density, cover = np.zeros(length), np.zeros(length)
    for score, (start, end) in zip(scores, own, strict=True):
        density[start:end] += score / max(end - start, 1)
    for start, end in others:
        cover[start:end] += 1
    density /= np.maximum(cover, 1)  # tokens that overlap share what they cover
    return np.array([density[start:end].sum() for start, end in others])


def carried_masks(masks: np.ndarray, own: Offsets, others: Offsets) -> np.ndarray:
    """Mask the other tokens that share a position with a masked token. (K, T) -> (K, S) booleans."""
    starts, ends = np.array(own, int).reshape(-1, 2).T
    other_starts, other_ends = np.array(others, int).reshape(-1, 2).T
    overlap = (starts[:, None] < other_ends) & (other_starts < ends[:, None])  # (T, S)
    return np.asarray(masks.astype(np.float32) @ overlap.astype(np.float32) > 0)
