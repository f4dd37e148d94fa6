"""How far explanations can be believed: what the model says when the steps they rank first are masked, or kept alone.

A masked step has the neutral vector in the place of its own, so the sequence keeps its length and every other step its
position. Random rankings of the same sequences are masked in the same way: what masking itself does to a model that
never saw such sequences (Hooker et al. 2019, arXiv:1806.10758) is in both.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ostinato.data.ragged import Ragged
from ostinato.errors import ConfigError, DataError
from ostinato.estimators import SequenceClassifier
from ostinato.explanation.attribution import Explanation
from ostinato.explanation.vectors import masked_logits, opened
from ostinato.models import Classifier
from ostinato.progress import Progress

PERCENTS = np.array([0, 1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100])  # of the steps, masked or kept: K of them
AVERAGED = np.isin(PERCENTS, [1, 5, 10, 20, 50])  # ERASER's, for comprehensiveness and sufficiency
LEVEL = 0.95
ROUNDING = 1e-6  # in probabilities from float32


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure of each of n sequences by the explanations' ranking, and by random ones.

    Args:
        each: (n,) by the explanations' ranking.
        random_each: (n,) the mean over the random rankings.
    """

    each: np.ndarray
    random_each: np.ndarray

    @property
    def value(self) -> float:
        return float(self.each.mean())

    @property
    def random(self) -> float:
        return float(self.random_each.mean())

    @property
    def difference(self) -> float:
        return self.value - self.random

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the difference, by Student's t over the pairs; None for a single sequence."""
        from scipy.stats import t

        n = len(self.each)
        if n < 2:
            return None
        margin = t.ppf((1 + LEVEL) / 2, n - 1) * (self.each - self.random_each).std(ddof=1) / np.sqrt(n)
        return float(self.difference - margin), float(self.difference + margin)

    def to_dict(self) -> dict[str, Any]:
        interval = None if self.interval is None else [round(end, 6) for end in self.interval]
        return {
            "value": round(self.value, 6),
            "random": round(self.random, 6),
            "difference": round(self.difference, 6),
            "interval": interval,
        }


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """What masking does to the probability p of the explained labels; curves are means over the sequences.

    Args:
        method: of the explanations.
        n: sequences.
        shares: (K,) of the steps, from 0 to 1.
        deletion: (K,) p with the share that ranks first masked.
        keeping: (K,) p with only the share that ranks first kept.
        random_deletion, random_keeping: (R, K) the same by each random ranking.
        comprehensiveness: p of the whole sequence less `deletion`, the mean over the shares .01, .05, .1, .2 and .5;
            the larger the better.
        sufficiency: p of the whole sequence less `keeping`, the mean over the same shares; the smaller the better.
        area: p of the whole sequence less `deletion`, the mean over all shares (trapezoids); its difference is the
            area between the two deletion curves. The larger the better.

    Source: DeYoung et al. (2020), arXiv:1911.03429, section 4; the deletion curve: Samek et al. (2017), arXiv:1509.06321.
    """

    method: str
    n: int
    shares: np.ndarray
    deletion: np.ndarray
    keeping: np.ndarray
    random_deletion: np.ndarray
    random_keeping: np.ndarray
    comprehensiveness: Figure
    sufficiency: Figure
    area: Figure

    @property
    def verdict(self) -> str:
        """How the ranking compares with a random one, by whether the interval of the area's difference holds 0."""
        low, high = self.area.interval or (-np.inf, np.inf)
        return "better than" if low > ROUNDING else "worse than" if high < -ROUNDING else "not told apart from"

    @property
    def sentence(self) -> str:
        """The verdict and its figures, in words."""
        area = self.area
        if area.interval is None:
            found = f"difference {area.difference:+.3f}, of one sequence: too few for an interval"
        else:
            found = f"difference {area.difference:+.3f}, 95 % interval {area.interval[0]:+.3f} to {area.interval[1]:+.3f}, {self.n} sequences"
        masking = f"masking steps in its order lowers the probability of the label by {area.value:.3f} on average, in random order by {area.random:.3f}"
        return f"The ranking by {self.method} is {self.verdict} a random ranking: {masking} ({found})."

    def masking(self, row: int) -> str:
        """What masking does to the probability of one sequence, in words."""
        lost = self.comprehensiveness
        return f"Masking what {self.method} ranks first {_taken(lost.each[row])} the probability; at random it {_taken(lost.random_each[row])} it."

    def to_dict(self) -> dict[str, Any]:
        """All of it but the figures of each sequence, as JSON values."""
        curves = ("shares", "deletion", "keeping", "random_deletion", "random_keeping")
        return {
            "method": self.method,
            "n": self.n,
            **{name: np.round(getattr(self, name), 6).tolist() for name in curves},
            **{name: getattr(self, name).to_dict() for name in ("comprehensiveness", "sufficiency", "area")},
            "sentence": self.sentence,
        }


def measure(
    model: SequenceClassifier,
    explanations: list[Explanation],
    *,
    rankings: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> Faithfulness:
    """Mask what explanations of one method rank first, and compare with random rankings of the same sequences.

    Steps are ranked by score, largest first; equal scores in random order. A share of 10 % of T steps is ⌈T / 10⌉ steps.
    The random rankings follow from the seed and the sequence alone: the same for every method, order and batch.

    Args:
        model: the classifier that was explained.
        explanations: as `explain` gives them.
        rankings: random ones of each sequence.
        seed: draws the random rankings.
        progress: where to show how far it is.

    Raises:
        ConfigError: there is no explanation, several methods are mixed, or `rankings` is below 1.
        DataError: an explanation is not one of this model.
    """
    methods = sorted({explanation.method for explanation in explanations})
    if len(methods) != 1:
        raise ConfigError(
            f"explanations of {len(methods)} methods ({', '.join(methods)}) cannot be measured together. Give those of one method."
        )
    if rankings < 1:
        raise ConfigError(f"rankings {rankings} is not usable. Give at least 1 random ranking to compare with.")
    encoded = model.encoder_.encode([explanation.sequence for explanation in explanations])
    curves = np.empty((len(explanations), 2, 1 + rankings, len(PERCENTS)))
    with opened(model.model_) as classifier:
        for row, explanation in enumerate((progress or Progress(quiet=True)).track(explanations, "masking")):
            sequence = encoded.select(np.array([row]))
            _refuse_foreign(model, explanation, sequence, row)
            label = model.encoder_.labels.index(explanation.label)
            curves[row] = _curves(
                classifier, sequence.values, _rank(explanation.scores, sequence, rankings, seed), label
            )
    return _summarise(methods[0], curves)


def _refuse_foreign(model: SequenceClassifier, explanation: Explanation, sequence: Ragged, row: int) -> None:
    """Refuse an explanation that this model cannot have given."""
    if explanation.label not in model.encoder_.labels:
        known = ", ".join(map(str, model.encoder_.labels))
        raise DataError(
            f"explanation {row} is of the label {explanation.label!r}, which is none of the model's: {known}. Explain with this model."
        )
    if len(explanation.scores) != len(sequence.values):
        raise DataError(
            f"explanation {row} has {len(explanation.scores)} scores, this model reads {len(sequence.values)} steps. Explain with this model."
        )


def _rank(scores: np.ndarray, sequence: Ragged, rankings: int, seed: int) -> np.ndarray:
    """The rank of each step, 0 the first: by its score, then by chance, `rankings` times. Returns (1 + rankings, T)."""
    rng = np.random.default_rng([seed, int(sequence.digest(), 16)])
    chance = rng.random((1 + rankings, len(scores)))
    first_to_last = np.lexsort((chance[0], -scores))  # by score, equal ones by chance
    return np.vstack([first_to_last.argsort(), chance[1:].argsort(axis=1)])


def _curves(model: Classifier, steps: torch.Tensor, ranks: np.ndarray, label: int) -> np.ndarray:
    """The probability of the label with the first steps masked, and with only them kept. ranks (R, T) -> (2, R, K)."""
    R, T = ranks.shape
    counts, share = np.unique(
        -(-PERCENTS * T // 100), return_inverse=True
    )  # ⌈percent · T / 100⌉; short sequences have few counts
    first = ranks[:, None] < counts[1:-1, None]  # (R, counts less 0 and T, T)
    ends = np.repeat([[False], [True]], T, axis=1)  # nothing masked and all masked: once for all rankings
    masks = np.concatenate([ends, first.reshape(-1, T), ~first.reshape(-1, T)])
    logits = torch.from_numpy(masked_logits(model, steps, masks)).to(model.temperature.device)
    p = model.probabilities(logits)[:, label].double().cpu().numpy()
    inner = p[2:].reshape(2, R, -1)
    first_end = np.broadcast_to(p[:2].reshape(2, 1, 1), (2, R, 1))  # whole, or nothing kept
    curves: np.ndarray = np.concatenate([first_end, inner, first_end[::-1]], axis=2)[:, :, share]
    return curves


def _summarise(method: str, curves: np.ndarray) -> Faithfulness:
    """Curves (n, 2, 1 + rankings, K), the explanations' ranking before the random ones."""
    from scipy.integrate import trapezoid

    shares = PERCENTS / 100
    lost = curves[:, 0, :1, :1] - curves.swapaxes(0, 1)  # (2, n, 1 + rankings, K)
    figures = [*lost[..., AVERAGED].mean(axis=3), trapezoid(lost[0], shares, axis=2)]  # 3 × (n, 1 + rankings)
    means = curves.mean(axis=0)  # (2, 1 + rankings, K)
    comparisons = [Figure(each[:, 0], each[:, 1:].mean(axis=1)) for each in figures]
    return Faithfulness(method, len(curves), shares, *means[:, 0], *means[:, 1:], *comparisons)


def _taken(difference: float) -> str:
    return f"takes {abs(difference):.3f} off" if round(difference, 3) >= 0 else f"adds {-difference:.3f} to"
