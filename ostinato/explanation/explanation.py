"""The explanation of one answer: a score for each token of its sequence."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ostinato.data.examples import Sentence
from ostinato.explanation import markup


@dataclass(frozen=True, eq=False)
class Explanation:
    """How much each token of a sequence contributed to one answer.

    Args:
        method: one of `METHODS`.
        sequence: the sequence as given; for a tagger, its `Sentence`.
        tokens: the T tokens that the model reads; for a series, the numbers of each step.
        offsets: the start and end of each token in `text`; for a series, the step and the next one.
        scores: (T,) one score per token, above 0 where the token speaks for the answer. The unit is `unit`.
        label: the explained class, label or tag, or the name of a predicted number.
        value: the model's answer for it: a probability, or a number in the target's units.
        quantity: what `value` is: "probability" or "prediction".
        row: the index of the sequence among those given.
        token: for a tagger, the index of the word whose tag is explained.
        gap: for integrated gradients, the share of the total difference that the scores miss.
    """

    method: str
    sequence: Any
    tokens: list[str]
    offsets: list[tuple[int, int]]
    scores: np.ndarray
    label: Any
    value: float
    quantity: str = "probability"
    row: int = 0
    token: int | None = None
    gap: float | None = None

    @property
    def probability(self) -> float:
        """The model's probability of the label."""
        if self.quantity != "probability":
            raise AttributeError(f"the explained value is a {self.quantity}, not a probability: use .value")
        return self.value

    @property
    def unit(self) -> str:
        """The unit of the scores; log-odds use the natural logarithm, attention weights add up to 1."""
        if self.method == "attention":
            return "attention weight"
        return "log-odds" if self.quantity == "probability" else self.quantity

    @property
    def title(self) -> str:
        """The label that is explained, and for a tag also the word with its features and its number, from 1."""
        if self.token is None:
            return str(self.label)
        features = "".join(f"/{values[self.token]}" for values in self.features)
        return f"{self.label} of {self.tokens[self.token]}{features} (word {self.token + 1})"

    @property
    def shown_value(self) -> str:
        """The value, rounded for people."""
        return f"{self.value:.3f}" if self.quantity == "probability" else f"{self.value:.4g}"

    @property
    def features(self) -> list[list[str]]:
        """For each feature of a tagger's sentence, its value at each word."""
        return list(self.sentence.features) if self.token is not None else []

    @property
    def sentence(self) -> Sentence:
        """The sentence of an explained tag."""
        assert isinstance(self.sequence, Sentence), "only explanations of tags have a sentence"
        return self.sequence

    @property
    def is_text(self) -> bool:
        """Whether the sequence consists of strings rather than numbers."""
        return isinstance(self.sequence, str | Sentence) or (
            isinstance(self.sequence, list) and all(isinstance(token, str) for token in self.sequence)
        )

    @property
    def text(self) -> str:
        """The text that `offsets` refer to: the string, or the tokens joined by spaces; empty for a series."""
        if isinstance(self.sequence, str):
            return self.sequence
        words = self.sequence.words if isinstance(self.sequence, Sentence) else self.sequence
        return " ".join(words) if self.is_text else ""

    @property
    def steps(self) -> list[str]:
        """A short name for each token, which is the token, or its number from 1 if a step has several numbers."""
        if not self.is_text and any(" " in token for token in self.tokens):
            return [str(step + 1) for step in range(len(self.tokens))]
        return self.tokens

    def to_json(self) -> dict[str, Any]:
        """Everything except the sequence, as JSON values."""
        value = round(self.value, 6) if self.quantity == "probability" else float(f"{self.value:.7g}")
        scores = {"scores": [float(f"{score:.6g}") for score in self.scores]}
        end = scores | ({} if self.gap is None else {"gap": self.gap})
        if self.token is None:
            start = {"method": self.method, "label": self.label, self.quantity: value}
            return {**start, "tokens": self.tokens, "offsets": self.offsets, **end}
        start = {"method": self.method, "tokens": self.tokens, "token": self.token, "tag": self.label}
        features = {"features": self.features} if self.features else {}
        return {**start, self.quantity: value, **features, **end}

    def _repr_html_(self) -> str:
        """The coloured text, for notebooks."""
        return markup.explanation_html(self)
