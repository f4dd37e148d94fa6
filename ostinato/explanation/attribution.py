"""What drove a prediction: one score a token, by several methods."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from ostinato.data.encoder import plain
from ostinato.data.ragged import Ragged
from ostinato.data.tokenizers import make_tokenizer
from ostinato.data.vocabulary import AMINO_ACIDS, NUCLEOTIDES, Vocabulary
from ostinato.errors import ConfigError, NotFittedError, look_up
from ostinato.estimators import SequenceClassifier, SequenceTagger, refuse_empty
from ostinato.explanation import markup
from ostinato.explanation.gradients import gradient_x_input, integrated_gradients
from ostinato.explanation.perturbation import mutagenesis, occlusion
from ostinato.explanation.tagging import TagExplanation, explain_tags
from ostinato.explanation.vectors import batches, places_of
from ostinato.inputs import as_sequences
from ostinato.models import Classifier, predict_logits
from ostinato.nn import AttentionPooling, Layout
from ostinato.progress import Progress

Scores = tuple[np.ndarray, np.ndarray | None]  # of each step (N,), and the gap of each sequence (B,)
Attribute = Callable[[Classifier, Ragged, Tensor], Scores]  # (model, sequences, the class of each to explain)
SEQUENCES_AT_A_TIME = 128
ALPHABETS: dict[Vocabulary, str] = {NUCLEOTIDES: "ACGT", AMINO_ACIDS: "ACDEFGHIKLMNPQRSTVWY"}


@dataclass(frozen=True, eq=False)
class Explanation:
    """What drove the answer for one sequence.

    Args:
        method: one of `METHODS`.
        sequence: as it was given.
        tokens: as the model reads them; of a series the numbers of each step.
        offsets: where each token starts and ends in a string (of lists, in the tokens joined by spaces; of series, the step).
        scores: (T,) one a token; in log-odds of `label` (natural logarithm), above 0 where the token speaks for it.
            Of `attention` the weights, which add up to 1.
        label: the explained class.
        probability: the model's, of that class.
        gap: of integrated gradients, the share of the difference in log-odds that the scores miss.
    """

    method: str
    sequence: Any
    tokens: list[str]
    offsets: list[tuple[int, int]]
    scores: np.ndarray
    label: Any
    probability: float
    gap: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it but the sequence, as JSON values."""
        fields = {
            "method": self.method,
            "label": self.label,
            "probability": round(self.probability, 6),
            "tokens": self.tokens,
            "offsets": self.offsets,
        }
        return {
            **fields,
            "scores": [float(f"{score:.6g}") for score in self.scores],
            **({} if self.gap is None else {"gap": self.gap}),
        }

    @property
    def is_text(self) -> bool:
        """Whether the sequence is a string or a list of strings, not a series of numbers."""
        return isinstance(self.sequence, str) or (
            isinstance(self.sequence, list) and all(isinstance(token, str) for token in self.sequence)
        )

    @property
    def text(self) -> str:
        """What the offsets count in; of a series nothing."""
        if isinstance(self.sequence, str):
            return self.sequence
        return " ".join(self.sequence) if self.is_text else ""

    @property
    def steps(self) -> list[str]:
        """What to call each token in a line of text: itself, but of a series with several numbers a step the step's number, from 1."""
        if not self.is_text and any(" " in token for token in self.tokens):
            return [str(step + 1) for step in range(len(self.tokens))]
        return self.tokens

    def _repr_html_(self) -> str:
        """The coloured text, for notebooks."""
        return markup.explanation_html(self)


@overload
def explain(
    model: SequenceClassifier,
    sequences: Iterable[Any],
    *,
    method: str = ...,
    label: Any = ...,
    places: list[str] | None = ...,
    progress: Progress | None = ...,
) -> list[Explanation]: ...
@overload
def explain(
    model: SequenceTagger,
    sequences: Iterable[Any],
    *,
    method: str = ...,
    label: str | None = ...,
    tokens: Sequence[int] | None = ...,
    progress: Progress | None = ...,
) -> list[TagExplanation]: ...
def explain(
    model: SequenceClassifier | SequenceTagger,
    sequences: Iterable[Any],
    *,
    method: str = "integrated-gradients",
    label: Any = None,
    tokens: Sequence[int] | None = None,
    places: list[str] | None = None,
    progress: Progress | None = None,
) -> list[Explanation] | list[TagExplanation]:
    """Explain the answer for each sequence; of a tagger, for each entity found (see `explain_tags`).

    Args:
        model: a fitted classifier or tagger.
        sequences: as for `predict`; truncated ones are explained as the model reads them.
        method: `integrated-gradients`, `gradient-x-input`, `occlusion`, `attention` (of models that pool by it),
            `in-silico-mutagenesis` (of DNA, RNA and protein, letter by letter).
        label: the class or tag to explain; by default the predicted one.
        tokens: of a tagger, which words of each sentence to explain, counted from 0, in the place of the entities.
        places: what to call each sequence in an error, as `reviews.csv, row 17`.
        progress: where to show how far it is.

    Raises:
        ConfigError: the method is unknown or not one that this model has; training had no such label.
        DataError: a sequence is empty or cannot be used.
        NotFittedError: before `fit`.
    """
    if isinstance(model, SequenceTagger):
        return [
            each
            for found in explain_tags(model, sequences, method=method, tag=label, tokens=tokens, progress=progress)
            for each in found
        ]
    if tokens is not None:
        raise ConfigError(
            f"tokens {list(tokens)}: a classifier gives a sequence one label. Leave them away, or give a tagger."
        )
    if not hasattr(model, "model_"):
        raise NotFittedError(
            "This SequenceClassifier is not fitted yet: there is nothing to explain. Call fit(X, y) first, or ostinato.load(path)."
        )
    attribute = _refuse_unavailable(model, method)
    if label is not None and plain(label) not in model.encoder_.labels:
        raise ConfigError(
            f"label {label!r} is none of the model's. Choose from: {', '.join(map(str, model.encoder_.labels))}."
        )
    given = as_sequences(sequences)
    encoded = model.encoder_.encode(given, places)
    refuse_empty(encoded, places)
    parts = [
        range(start, min(start + SEQUENCES_AT_A_TIME, len(given)))
        for start in range(0, len(given), SEQUENCES_AT_A_TIME)
    ]
    explanations: list[Explanation] = []
    for part in (progress or Progress(quiet=True)).track(parts, "explaining"):
        explanations += _explain_encoded(
            model, given[part.start : part.stop], encoded.select(torch.tensor(part)), method, attribute, label
        )
    return explanations


def _explain_encoded(
    model: SequenceClassifier, given: list[Any], encoded: Ragged, method: str, attribute: Attribute, label: Any
) -> list[Explanation]:
    labels = model.encoder_.labels
    logits = predict_logits(model.model_, encoded)
    probabilities = model.model_.probabilities(logits).numpy()
    classes = logits.argmax(dim=1) if label is None else torch.full((len(given),), labels.index(plain(label)))
    scores, gaps = attribute(model.model_, encoded, classes)
    return [
        Explanation(
            method,
            sequence,
            *tokens_and_offsets(model, sequence),
            scores[place],
            labels[classes[row]],
            float(probabilities[row, classes[row]]),
            None if gaps is None else float(gaps[row]),
        )
        for row, (sequence, place) in enumerate(zip(given, places_of(encoded, torch.arange(len(encoded))), strict=True))
    ]


def methods_of(model: SequenceClassifier) -> dict[str, Attribute]:
    """The methods that this model has."""
    methods: dict[str, Attribute] = {
        "integrated-gradients": integrated_gradients,
        "gradient-x-input": gradient_x_input,
        "occlusion": occlusion,
    }
    if "attention" in model.model_.pooling.poolings:
        methods["attention"] = attention
    letters = letters_of(model)
    if letters is not None:
        assert model.encoder_.vocabulary is not None
        methods["in-silico-mutagenesis"] = partial(
            mutagenesis, letters=np.array([model.encoder_.vocabulary.id(letter) for letter in letters], np.int32)
        )
    return methods


def letters_of(model: SequenceClassifier) -> str | None:
    """The letters of a model of DNA, RNA or protein, without the ambiguous ones; None for all others."""
    return ALPHABETS.get(make_tokenizer(model.encoder_.tokenizer).vocabulary) if not model.encoder_.is_numeric else None  # type: ignore[arg-type]


@torch.inference_mode()
def attention(model: Classifier, sequences: Ragged, classes: Tensor) -> Scores:
    """The weight of each step in attention pooling, whatever the class; of pooled steps, shared evenly among their tokens. Returns (N,)."""
    scores = np.zeros(len(sequences.values))
    pooling = model.pooling.poolings["attention"]
    assert isinstance(pooling, AttentionPooling)
    for indices, batch in batches(sequences):
        values = batch.values.to(model.head.weight.device)
        layout = Layout(batch.lengths, values.device)
        weights = model.on_tokens(pooling.weights(*model.states(values, layout)), layout).double().cpu().numpy()
        for place, part in zip(
            places_of(sequences, indices), np.split(weights, batch.lengths.cumsum(0)[:-1].numpy()), strict=True
        ):
            scores[place] = part
    return scores, None


def tokens_and_offsets(model: SequenceClassifier, sequence: Any) -> tuple[list[str], list[tuple[int, int]]]:
    """The tokens that the model reads of a sequence, the cut ones left out, and their places."""
    encoder = model.encoder_
    if encoder.is_numeric:
        tokens = [" ".join(f"{number:g}" for number in np.atleast_1d(step)) for step in sequence]
        offsets = [(step, step + 1) for step in range(len(tokens))]
    else:
        tokenizer = make_tokenizer(encoder.tokenizer)
        tokens, offsets = tokenizer.tokens(sequence), tokenizer.offsets(sequence)
    kept = encoder.kept(len(tokens))
    return [tokens[place] for place in kept], [offsets[place] for place in kept]


def _refuse_unavailable(model: SequenceClassifier, method: str) -> Attribute:
    methods = methods_of(model)
    if method not in methods and method in METHODS:
        why = {
            "attention": f"it pools by {', '.join(model.model_.pooling.poolings)}",
            "in-silico-mutagenesis": f"its tokens are {model.encoder_.tokenizer}, not nucleotides or amino acids",
        }
        raise ConfigError(
            f"method {method!r} is not one that this model has: {why[method]}. Choose from: {', '.join(methods)}."
        )
    return look_up(methods, method, "method")


METHODS = ("integrated-gradients", "gradient-x-input", "occlusion", "attention", "in-silico-mutagenesis")
