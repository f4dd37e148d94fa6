"""The vectors of a sentence's words, and a tagger's answers when some of them are masked."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ostinato.data.examples import Sentence
from ostinato.data.vocabulary import UNKNOWN, UNKNOWN_TOKEN
from ostinato.nn import Layout
from ostinato.tasks.records import Model
from ostinato.tasks.tagging.encoder import SentenceEncoder
from ostinato.tasks.tagging.network import Tagger
from ostinato.tasks.tagging.sentences import Sentences

NUMBERS_AT_A_TIME = 2**24  # maximum that a backward pass stores, including the transitions of a CRF
STORED = 8  # numbers that a recurrent layer stores per unit and step, roughly
EXCLUDED = 1e4  # subtracted from a score: its exp is then 0, but it remains possible if all others are forbidden


@torch.no_grad()
def neutral_vector(network: Tagger, encoder: SentenceEncoder) -> Tensor:
    """The vector that replaces masked words, (D,); see `ostinato.tasks.tagging.explain`."""
    words = list(encoder.words.tokens[UNKNOWN + 1 :] or encoder.words.tokens)
    features = [[UNKNOWN_TOKEN] * len(words)] * len(encoder.features)
    vocabulary = encoder.encode([Sentence(words, None, "the vocabulary", features=features)])
    neutral = network.vectors(vocabulary.to(network.device)).mean(dim=0)  # (V, D) -> (D,)
    if network.has_trained_unknown:
        word = network.embed(torch.tensor([UNKNOWN], device=network.device)).squeeze(0)
        neutral[: len(word)] = word
    averages = [table[min(UNKNOWN + 1, len(table) - 1) :].mean(dim=0) for table in network.features.parameters()]
    return torch.cat([neutral[: len(neutral) - sum(map(len, averages))], *averages])


class Reader(NamedTuple):
    """A tagger, or a member of an ensemble.

    Args:
        weight: of its answers in the mean; 1 without others.
        neutral: (D,), the vector of a masked word.
    """

    weight: float
    network: Tagger
    encoder: SentenceEncoder
    neutral: Tensor

    def vectors(self, sentence: Sentence) -> "SentenceVectors":
        """The sentence as this tagger reads it."""
        return SentenceVectors(self.network, self.encoder.encode([sentence]), self.neutral)


def readers_of(model: Model) -> list[Reader]:
    """The model itself, or the members of an ensemble. Call it within `opened`, where dropout is off."""
    weights = model.network.weights.tolist() if model.members else [1.0]
    return [
        Reader(weight, each.network, each.encoder, neutral_vector(each.network, each.encoder))
        for weight, each in zip(weights, model.members or (model,), strict=True)
    ]


class SentenceVectors:
    """The word vectors of a sentence, and the tagger's answers when some of them are replaced.

    Attributes:
        x: (T, D), the input of the stack.
        neutral: (D,), the vector of a masked word.
    """

    def __init__(self, network: Tagger, sentence: Sentences, neutral: Tensor) -> None:
        self.network, self.neutral = network, neutral
        sentence = sentence.to(network.device)
        self.tokens = sentence.tokens()
        with torch.no_grad():
            self.x = network.vectors(sentence)

    @torch.no_grad()
    def wide(self, masks: Tensor) -> Tensor:
        """The scores of the wide part under k masks, which are True at masked words. (k, T) -> (k, T, C)."""
        if self.network.wide is None:
            return self.x.new_zeros(*masks.shape, self.network.head.out_features)
        scores: Tensor = self.network.wide(self.tokens.repeated(len(masks)), masks.flatten())
        return scores.view(*masks.shape, -1)

    def deep(self, x: Tensor) -> Tensor:
        """The scores without the wide part at each word of k copies of the sentence. (k, T, D) -> (k, T, C)."""
        scores = self.network.score(x.flatten(0, 1), Layout(torch.full((len(x),), x.shape[1]), x.device))
        return scores.float().view(len(x), x.shape[1], -1)

    @torch.no_grad()
    def marginals(self, scores: Tensor) -> Tensor:
        """The probability of each tag at each word of k copies of the sentence. (k, T, C) -> (k, T, C)."""
        lengths = torch.full((len(scores),), scores.shape[1])
        return self.network.marginals(scores.flatten(0, 1), lengths).view_as(scores)

    def log_marginals(self, scores: Tensor) -> Tensor:
        """The log-probability of each tag at each word of k copies of the sentence. (k, T, C) -> (k, T, C)."""
        p = self.marginals(scores)
        return p.clamp(min=torch.finfo(p.dtype).tiny).log()

    def derivative(self, scores: Tensor, tokens: Tensor, tags: Tensor) -> Tensor:
        """The derivative of the log-odds of a word's tag by all scores: p(y | this tag) − p(y | another tag).

        The log-odds are log Z over the sequences with this tag at the word, minus log Z over all other sequences. The
        derivative of a log Z is its marginals. Each copy has its own word and tag. (k, T, C), (k,), (k,) -> (k, T, C).
        """
        copies = torch.arange(len(scores), device=scores.device)
        with_tag, without_tag = scores.clone(), scores.clone()
        with_tag[copies, tokens] -= EXCLUDED
        with_tag[copies, tokens, tags] = scores[copies, tokens, tags]
        without_tag[copies, tokens, tags] -= EXCLUDED
        return self.marginals(with_tag) - self.marginals(without_tag)

    def parts(self, count: int) -> Iterator[slice]:
        """Slices of `count` copies, each small enough for memory."""
        tags, units = self.network.head.out_features, self.network.stack.output_size
        features = 0 if self.network.wide is None else len(self.network.wide.templates)
        size = max(1, NUMBERS_AT_A_TIME // max(tags * tags, len(self.x) * (tags + STORED * units + features)))
        return (slice(start, start + size) for start in range(0, count, size))

    @torch.no_grad()
    def masked(self, masks: np.ndarray, tokens: np.ndarray) -> Tensor:
        """The log-probabilities at Q words under K masks, which are True at masked words. (K, T), (Q,) -> (K, Q, C)."""
        found = []
        for part in self.parts(len(masks)):
            mask = torch.from_numpy(masks[part]).to(self.x.device)
            deep = self.deep(torch.where(mask.unsqueeze(2), self.neutral, self.x))  # (k, T, D) -> (k, T, C)
            found.append(self.log_marginals(deep + self.wide(mask))[:, tokens])
        return torch.cat(found)
