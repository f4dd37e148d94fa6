"""How faithful explanations are: the answer when the top-ranked steps are masked, or when only they are left.

A masked step gets the neutral vector, so the sequence keeps its length and every other step its position. Random
rankings of the same sequences are masked in the same way. Both include the effect of masking on a model that never saw
masked sequences (Hooker et al. 2019, arXiv:1806.10758), so their difference does not.
"""

from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from ostinato.errors import ConfigError, DataError
from ostinato.explanation.explanation import Explanation
from ostinato.explanation.masking import masked_outputs, opened
from ostinato.explanation.members import carried_masks
from ostinato.explanation.model import ExplainableModel, fitted, tokens_and_offsets
from ostinato.nn import Ensemble
from ostinato.progress import Progress

PERCENTS = np.array([0, 1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100])  # K shares of the steps, masked or left
AVERAGED = np.isin(PERCENTS, [1, 5, 10, 20, 50])  # ERASER's, for comprehensiveness and sufficiency
CONFIDENCE = 0.95
ROUNDING = 1e-6  # of answers in float32
CURVES = ("shares", "deletion", "keeping", "random_deletion", "random_keeping")
FIGURES = ("comprehensiveness", "sufficiency", "area")


@dataclass(frozen=True)
class MaskableInput:
    """The input of one explanation, with steps that can be masked.

    Args:
        steps: (M,) the indices of the steps that may be masked.
        answer: the explained answer under each mask: (K, T), True where a step is masked -> (K,).
        seed: what the random rankings depend on besides the user's seed.
        group: equal for explanations that are not independent of each other; None: independent of all others.
    """

    steps: np.ndarray
    answer: Callable[[np.ndarray], np.ndarray]
    seed: tuple[int, ...]
    group: Hashable = None


class Masking(Protocol):
    """How a task masks the inputs of its explanations."""

    def opened(self) -> AbstractContextManager[Any]:
        """The network in eval mode while inputs are masked."""

    def input(self, explanation: Explanation, row: int) -> MaskableInput:
        """The input of an explanation; `row` is its index in errors.

        Raises:
            DataError: the explanation is not one of this model.
        """


class SequenceMasking:
    """Masks the steps of sequences that have one vector of outputs each."""

    def __init__(self, model: ExplainableModel) -> None:
        self.model = model

    def opened(self) -> AbstractContextManager[Any]:
        return opened(self.model.network)

    def input(self, explanation: Explanation, row: int) -> MaskableInput:
        network = self.model.network
        first = self.model.members[0] if isinstance(network, Ensemble) else self.model
        encoded = first.encoder.encode([explanation.sequence])
        target = check_label(explanation, row, self.model.codec.names)
        check_length(explanation, row, len(encoded.values))
        outputs = self._masked_members(explanation.sequence) if isinstance(network, Ensemble) else None

        def answer(masks: np.ndarray) -> np.ndarray:
            found = masked_outputs(network, encoded.values, masks) if outputs is None else outputs(masks)
            answers: np.ndarray = network.answers(found)[:, target].numpy()
            return answers.astype(np.float64)

        return MaskableInput(np.arange(len(encoded.values)), answer, (int(encoded.digest(), 16),))

    def _masked_members(self, sequence: Any) -> Callable[[np.ndarray], Tensor]:
        """A function from masks of the first member's tokens (K, T) to the ensemble's outputs (K, C)."""
        members, network = self.model.members, self.model.network
        assert isinstance(network, Ensemble)
        values = [member.encoder.encode([sequence]).values for member in members]
        offsets = [tokens_and_offsets(member.encoder, sequence)[1] for member in members]

        def outputs(masks: np.ndarray) -> Tensor:
            carried = [carried_masks(masks, offsets[0], each) for each in offsets]
            return network.combine(
                [
                    masked_outputs(member.network, own, mask)
                    for member, own, mask in zip(members, values, carried, strict=True)
                ]
            )

        return outputs


def check_label(explanation: Explanation, row: int, names: Sequence[Any]) -> int:
    """The index of the explained label among the names of a model's outputs.

    Raises:
        DataError: the model has no such label.
    """
    if explanation.label not in names:
        known = ", ".join(map(str, names))
        raise DataError(
            f"explanation {row} is of the label {explanation.label!r}, which is not one of the model's: {known}. Use "
            "the model that was explained."
        )
    return list(names).index(explanation.label)


def check_length(explanation: Explanation, row: int, length: int) -> None:
    """Refuse an explanation with another number of scores than the model reads steps.

    Raises:
        DataError: the numbers differ.
    """
    if len(explanation.scores) != length:
        raise DataError(
            f"explanation {row} has {len(explanation.scores)} scores, and this model reads {length} steps. Use the "
            "model that was explained."
        )


@dataclass(frozen=True, eq=False)
class Figure:
    """A measure of n explanations, by their own rankings and by random ones.

    Args:
        each: (n,) by the explanations' rankings; NaN for explanations without a step to mask.
        random_each: (n,) the mean over the random rankings.
        groups: (n,) the explanations with the same number are not independent; the mean of each group counts once.
    """

    each: np.ndarray
    random_each: np.ndarray
    groups: np.ndarray

    @cached_property
    def by_group(self) -> tuple[np.ndarray, np.ndarray]:
        """The means of each group, without NaN: by the explanations' rankings, and by random ones."""
        return group_means(self.each, self.groups), group_means(self.random_each, self.groups)

    @property
    def value(self) -> float:
        """The mean by the explanations' rankings; NaN if no explanation has a step to mask."""
        return _mean(self.by_group[0])

    @property
    def random(self) -> float:
        """The mean by random rankings."""
        return _mean(self.by_group[1])

    @property
    def difference(self) -> float:
        return self.value - self.random

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the difference, by Student's t over the pairs of groups; None for fewer than two."""
        from scipy.stats import t

        own, random = self.by_group
        n = len(own)
        if n < 2:
            return None
        margin = t.ppf((1 + CONFIDENCE) / 2, n - 1) * (own - random).std(ddof=1) / np.sqrt(n)
        return float(self.difference - margin), float(self.difference + margin)

    def to_json(self) -> dict[str, Any]:
        """The means, their difference and its interval."""
        interval = None if self.interval is None else [round(end, 6) for end in self.interval]
        means = {name: round(getattr(self, name), 6) for name in ("value", "random", "difference")}
        return {**means, "interval": interval}


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """What masking does to the explained answers p; curves are means over the groups of explanations.

    Args:
        method: of the explanations.
        quantity: what p is: "probability" or "prediction".
        of_tokens: whether tags of single words are explained; the explained word itself is never masked.
        n: explanations with a step to mask.
        shares: (K,) of the steps, from 0 to 1.
        deletion: (K,) p with the top-ranked share masked.
        keeping: (K,) p with everything except the top-ranked share masked.
        random_deletion, random_keeping: (R, K) the same for each random ranking.
        comprehensiveness: p of the whole sequence less `deletion`, averaged over the shares .01, .05, .1, .2 and .5.
            Higher is better.
        sufficiency: p of the whole sequence less `keeping`, averaged over the same shares. Lower is better.
        area: p of the whole sequence less `deletion`, averaged over all shares (trapezoids); its difference is the
            area between the two deletion curves. Higher is better.

    Source: DeYoung et al. (2020), arXiv:1911.03429, section 4; deletion curve: Samek et al. (2017), arXiv:1509.06321.
    """

    method: str
    quantity: str
    of_tokens: bool
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
        """How the ranking compares with a random one, which depends on whether the interval of the area includes 0."""
        low, high = self.area.interval or (-np.inf, np.inf)
        return "better than" if low > ROUNDING else "worse than" if high < -ROUNDING else "indistinguishable from"

    @property
    def sentence(self) -> str:
        """The verdict and its figures, in words."""
        if not self.n:
            return "No sentence has another word to mask, so nothing can be said about the explanations' faithfulness."
        area = self.area
        ends = "too few for an interval"
        if area.interval is not None:
            ends = f"95 % interval {self._signed(area.interval[0])} to {self._signed(area.interval[1])}"
        return (
            f"The ranking by {self.method} is {self.verdict} a random ranking: masking {self.maskable} in its order "
            f"lowers the {self.answer} by {self._shown(area.value)} on average, in random order by "
            f"{self._shown(area.random)} (difference {self._signed(area.difference)}, {ends}, {self.sample})."
        )

    @property
    def answer(self) -> str:
        """What p is, in words."""
        if self.quantity == "prediction":
            return "prediction"
        return "probability of the tag" if self.of_tokens else "probability of the label"

    @property
    def maskable(self) -> str:
        """What is masked, in words."""
        return "the other words" if self.of_tokens else "steps"

    @property
    def sample(self) -> str:
        """The number of explanations, in words; for tags also the number of sentences."""
        groups = len(self.area.by_group[0])
        if self.of_tokens:
            return f"{_counted(self.n, 'tag')} of {_counted(groups, 'sentence')}"
        return _counted(self.n, "sequence")

    def masking(self, row: int) -> str:
        """What masking does to the answer of one explanation, in words: the figures that `sentence` averages."""
        found = self.area
        if np.isnan(found.each[row]):
            return "There is no other word to mask."
        top, random = (self._change(float(each[row])) for each in (found.each, found.random_each))
        steps = self.maskable.removeprefix("the ")
        return (
            f"Masking the top-ranked {steps} {top}; masking random ones {random} (averaged over all shares of steps)."
        )

    def to_json(self) -> dict[str, Any]:
        """Everything except the figures of each explanation; curves and figures are None if nothing can be masked."""
        curves = {name: np.round(getattr(self, name), 6).tolist() if self.n else None for name in CURVES}
        figures = {name: getattr(self, name).to_json() if self.n else None for name in FIGURES}
        facts = {"method": self.method, "quantity": self.quantity, "n": self.n}
        return {**facts, **curves, **figures, "verdict": self.verdict, "sentence": self.sentence}

    def _change(self, drop: float) -> str:
        direction = "raises" if drop < 0 and self._shown(-drop) != self._shown(0.0) else "lowers"
        return f"{direction} the {self.quantity} by {self._shown(abs(drop))}"

    def _shown(self, value: float) -> str:
        return f"{value:.3f}" if self.quantity == "probability" else f"{value:.4g}"

    def _signed(self, value: float) -> str:
        return f"{value:+.3f}" if self.quantity == "probability" else f"{value:+.4g}"


def measure(
    model: Any,
    explanations: Sequence[Explanation],
    *,
    rankings: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> Faithfulness:
    """Mask the steps that explanations of one method rank first, and compare with random rankings.

    Steps are ranked by score, largest first; equal scores in random order. A share of 10 % of M steps is ⌈M / 10⌉
    steps. The random rankings depend on the seed and the sequence alone (for a tag, also on its word): they are the
    same for every method, order and batch.

    Args:
        model: the trained model that was explained, or its estimator.
        explanations: as `ostinato.explain` returns them.
        rankings: random rankings of each sequence.
        seed: of the random rankings.
        progress: where to show progress.

    Raises:
        ConfigError: there is no explanation, there are several methods, or `rankings` is below 1.
        DataError: an explanation is not one of this model.
        NotFittedError: the estimator is not fitted yet.
    """
    model = fitted(model)
    methods = sorted({explanation.method for explanation in explanations})
    if len(methods) != 1:
        raise ConfigError(
            f"explanations by {len(methods)} methods ({', '.join(methods)}) cannot be measured together. Give those of "
            "one method."
        )
    if rankings < 1:
        raise ConfigError(f"rankings {rankings} is too low. Give at least 1 random ranking to compare with.")
    masking: Masking = model.task.masking(model)
    curves = np.full((len(explanations), 2, 1 + rankings, len(PERCENTS)), np.nan)
    numbers: dict[Hashable, int] = {}
    groups = np.empty(len(explanations), int)
    with masking.opened():
        for row, explanation in enumerate((progress or Progress(quiet=True)).track(explanations, "masking")):
            masked = masking.input(explanation, row)
            group = ("independent", row) if masked.group is None else masked.group
            groups[row] = numbers.setdefault(group, len(numbers))
            if len(masked.steps):
                ranks = _rank(explanation.scores, masked, rankings, seed)
                curves[row] = _curves(masked, len(explanation.scores), ranks)
    return _summarise(explanations[0], curves, groups)


def group_means(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The mean of each group, without rows that are NaN. (n, …), (n,) -> (groups, …)."""
    usable = ~np.isnan(values.reshape(len(values), -1)).any(axis=1)
    parts = [values[usable & (groups == group)].mean(axis=0) for group in np.unique(groups[usable])]
    return np.array(parts) if parts else np.empty((0, *values.shape[1:]))


def _rank(scores: np.ndarray, masked: MaskableInput, rankings: int, seed: int) -> np.ndarray:
    """The rank of each maskable step, 0 the first: by score, then `rankings` times at random. (1 + rankings, M)."""
    rng = np.random.default_rng([seed, *masked.seed])
    chance = rng.random((1 + rankings, len(masked.steps)))
    first_to_last = np.lexsort((chance[0], -scores[masked.steps]))  # by score, equal ones at random
    return np.vstack([first_to_last.argsort(), chance[1:].argsort(axis=1)])


def _curves(masked: MaskableInput, length: int, ranks: np.ndarray) -> np.ndarray:
    """The answer with the top-ranked steps masked, and with all others masked. ranks (R, M) -> (2, R, K)."""
    R, M = ranks.shape
    # ⌈percent · M / 100⌉ steps; short sequences have few different counts
    counts, share = np.unique(-(-PERCENTS * M // 100), return_inverse=True)
    first = ranks[:, None] < counts[1:-1, None]  # (R, counts without 0 and M, M)
    ends = np.repeat([[False], [True]], M, axis=1)  # nothing masked, and all: once for all rankings
    chosen = np.concatenate([ends, first.reshape(-1, M), ~first.reshape(-1, M)])
    masks = np.zeros((len(chosen), length), bool)
    masks[:, masked.steps] = chosen
    p = masked.answer(masks)
    inner = p[2:].reshape(2, R, -1)
    first_end = np.broadcast_to(p[:2].reshape(2, 1, 1), (2, R, 1))  # the whole sequence, or nothing left of it
    curves: np.ndarray = np.concatenate([first_end, inner, first_end[::-1]], axis=2)[:, :, share]
    return curves


def _summarise(example: Explanation, curves: np.ndarray, groups: np.ndarray) -> Faithfulness:
    """Curves (n, 2, 1 + rankings, K): the explanations' ranking before the random ones."""
    from scipy.integrate import trapezoid

    shares = PERCENTS / 100
    lost = curves[:, 0, :1, :1] - curves.swapaxes(0, 1)  # (2, n, 1 + rankings, K)
    figures = [*lost[..., AVERAGED].mean(axis=3), trapezoid(lost[0], shares, axis=2)]  # 3 × (n, 1 + rankings)
    by_group = group_means(curves, groups)
    means = by_group.mean(axis=0) if len(by_group) else np.full(curves.shape[1:], np.nan)  # (2, 1 + rankings, K)
    return Faithfulness(
        example.method,
        example.quantity,
        example.token is not None,
        int((~np.isnan(figures[2][:, 0])).sum()),
        shares,
        *means[:, 0],
        *means[:, 1:],
        *(Figure(each[:, 0], each[:, 1:].mean(axis=1), groups) for each in figures),
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
