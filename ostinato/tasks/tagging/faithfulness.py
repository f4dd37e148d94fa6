"""How far explanations of tags can be believed: what the tag loses when the words that they rank first are masked."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ostinato.errors import ConfigError
from ostinato.estimators import SequenceTagger
from ostinato.explanation.faithfulness import AVERAGED, PERCENTS, ROUNDING, Figure
from ostinato.explanation.tagging import SentenceVectors, TagExplanation, neutral_vector
from ostinato.explanation.vectors import opened
from ostinato.progress import Progress


@dataclass(frozen=True, eq=False)
class TagFaithfulness:
    """What masking other words takes off the probability of the explained tags.

    The word that bears the tag is never masked: what is asked is which other words matter. A loss is the mean over the
    first 1, 5, 10, 20 and 50 % of the others masked.

    Args:
        method: of the explanations.
        n: explanations of sentences with more than one word.
        lost: (explanations,) by their ranking; NaN of a sentence of one word.
        lost_at_random: (explanations,) the mean over random rankings.
        by_sentence: the same of each sentence, the mean over its explanations: those of one sentence are not independent.
    """

    method: str
    n: int
    lost: np.ndarray
    lost_at_random: np.ndarray
    by_sentence: Figure

    @property
    def verdict(self) -> str:
        """How the ranking compares with a random one, by whether the interval of the difference holds 0."""
        low, high = self.by_sentence.interval or (-np.inf, np.inf)
        return "better than" if low > ROUNDING else "worse than" if high < -ROUNDING else "not told apart from"

    @property
    def sentence(self) -> str:
        """The verdict and its figures, in words."""
        if not self.n:
            return "No sentence has another word to mask: nothing tells how far the explanations can be believed."
        figure = self.by_sentence
        among = f"{self.n} tag{'' if self.n == 1 else 's'} of {len(figure.each)} sentence{'' if len(figure.each) == 1 else 's'}"
        ends = (
            "too few for an interval"
            if figure.interval is None
            else f"95 % interval {figure.interval[0]:+.3f} to {figure.interval[1]:+.3f}"
        )
        return (
            f"The ranking of other words by {self.method} is {self.verdict} a random ranking: masking those that rank first lowers the probability "
            f"of the tag by {figure.value:.3f} on average, random ones by {figure.random:.3f} (difference {figure.difference:+.3f}, {ends}, {among})."
        )

    def masking(self, row: int) -> str:
        """What masking does to the probability of one explained tag, in words."""
        if np.isnan(self.lost[row]):
            return "There is no other word to mask."
        own, chance = (
            f"takes {abs(lost):.3f} off" if round(lost, 3) >= 0 else f"adds {-lost:.3f} to"
            for lost in (self.lost[row], self.lost_at_random[row])
        )
        return f"Masking the other words that rank first {own} the probability; at random it {chance} it."

    def to_dict(self) -> dict[str, Any]:
        """All of it but the figures of each explanation, as JSON values."""
        figures = self.by_sentence.to_dict() if self.n else None
        return {"method": self.method, "n": self.n, "lost": figures, "sentence": self.sentence}


def measure_tags(
    tagger: SequenceTagger,
    explanations: list[TagExplanation],
    *,
    rankings: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> TagFaithfulness:
    """Mask the other words that explanations rank first, and compare with random rankings of the same words.

    Equal scores rank in random order. A share of 10 % of n other words is ⌈n / 10⌉. The random rankings follow from the
    seed, the sentence and the word alone.

    Args:
        tagger: the tagger that was explained.
        explanations: of one method.
        rankings: random ones of each explanation.
        seed: draws them.
        progress: where to show how far it is.

    Raises:
        ConfigError: there is no explanation, several methods are mixed, or `rankings` is below 1.

    Source: comprehensiveness of DeYoung et al. (2020), arXiv:1911.03429, section 4.
    """
    methods = sorted({explanation.method for explanation in explanations})
    if len(methods) != 1:
        raise ConfigError(
            f"explanations of {len(methods)} methods ({', '.join(methods)}) cannot be measured together. Give those of one method."
        )
    if rankings < 1:
        raise ConfigError(f"rankings {rankings} is not usable. Give at least 1 random ranking to compare with.")
    lost = np.empty((len(explanations), 1 + rankings))
    with opened(tagger.model_):
        neutral = neutral_vector(tagger)
        for row, explanation in enumerate((progress or Progress(quiet=True)).track(explanations, "masking")):
            lost[row] = _lost(tagger, explanation, neutral, rankings, seed)
    own, chance = lost[:, 0], lost[:, 1:].mean(axis=1)
    return TagFaithfulness(
        methods[0], int((~np.isnan(own)).sum()), own, chance, _by_sentence(explanations, own, chance)
    )


def _lost(
    tagger: SequenceTagger, explanation: TagExplanation, neutral: torch.Tensor, rankings: int, seed: int
) -> np.ndarray:
    """What the tag's probability loses by the explanation's ranking, and by random ones. Returns (1 + rankings,)."""
    encoded = tagger.encoder_.encode([explanation.sentence])
    others = np.delete(np.arange(len(explanation.words)), explanation.token)
    if not len(others):
        return np.full(1 + rankings, np.nan)
    rng = np.random.default_rng([seed, explanation.token, int(encoded.digest(), 16)])
    chance = rng.random((1 + rankings, len(others)))
    first_to_last = np.lexsort((chance[0], -explanation.scores[others]))  # by score, equal ones by chance
    ranks = np.vstack([first_to_last.argsort(), chance[1:].argsort(axis=1)])  # (1 + rankings, others)
    counts, share = np.unique(-(-PERCENTS[AVERAGED] * len(others) // 100), return_inverse=True)
    masks = np.zeros((1 + (1 + rankings) * len(counts), len(explanation.words)), bool)
    masks[1:, others] = (ranks[:, None] < counts[:, None]).reshape(-1, len(others))
    sentence = SentenceVectors(tagger.model_, encoded, neutral)
    p = (
        sentence.masked(masks, np.array([explanation.token]))[:, 0, tagger.encoder_.tags.index(explanation.tag)]
        .double()
        .exp()
        .cpu()
        .numpy()
    )
    lost: np.ndarray = (p[0] - p[1:].reshape(1 + rankings, -1)[:, share]).mean(axis=1)
    return lost


def _by_sentence(explanations: list[TagExplanation], lost: np.ndarray, chance: np.ndarray) -> Figure:
    numbers: dict[tuple[tuple[str, ...], ...], int] = {}
    sentence = np.array(
        [
            numbers.setdefault((tuple(each.words), *map(tuple, each.sentence.features)), len(numbers))
            for each in explanations
        ]
    )
    kept = ~np.isnan(lost)
    places = [kept & (sentence == number) for number in np.unique(sentence[kept])]
    return Figure(
        np.array([lost[place].mean() for place in places]), np.array([chance[place].mean() for place in places])
    )
