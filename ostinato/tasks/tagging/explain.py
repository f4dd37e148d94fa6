"""What spoke for one tag of one word: a score for each word of the sentence.

Explained is the log-odds of the tag's probability at that word: its marginal over all tags of the sentence, where the head
is a CRF. A word's vector is all that the tagger reads of it: word, capitals, characters and features. A masked word has the neutral
vector in that place: the mean over the words of the vocabulary, an average word; but where training met unknown words (by
`word_dropout`, `min_count` or `max_size`), its part for the word is that of `<unk>`. A feature's part is the mean over its
values. The sentence keeps its length.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ostinato.data.examples import Sentence
from ostinato.data.sentences import Sentences
from ostinato.data.vocabulary import UNKNOWN, UNKNOWN_TOKEN
from ostinato.errors import ConfigError, NotFittedError, look_up
from ostinato.estimators import SequenceTagger
from ostinato.estimators.tagger import as_sentences
from ostinato.explanation.gradients import follow
from ostinato.explanation.markup import explanation_html
from ostinato.explanation.vectors import log_odds, opened
from ostinato.models import Tagger, predict_marginals, predict_tags
from ostinato.nn import Layout
from ostinato.progress import Progress
from ostinato.tasks.tagging.schemes import conlleval_entities

NUMBERS_AT_A_TIME = 2**24  # of what a backward keeps, and of a CRF's transitions
KEPT = 8  # numbers a unit and step that a recurrent layer keeps, more or less
EXCLUDED = 1e4  # taken off a score: exp leaves nothing of it, yet where all else is forbidden it is still possible
NOT_OF_TAGGERS = {
    "attention": "it has no pooling",
    "in-silico-mutagenesis": "its tokens are words, not nucleotides or amino acids",
}


@dataclass(frozen=True, eq=False)
class TagExplanation:
    """What spoke for a tag of a word.

    Args:
        sentence: its words, with their features where the tagger reads such.
        scores: (T,) one a word; in log-odds of the tag (natural logarithm), above 0 where the word speaks for it.
        token: the explained word, counted from 0.
        tag: the explained tag, one of those that the tagger learnt.
        probability: the tagger's, of that tag at that word.
        method: one of `TAG_METHODS`.
        gap: of integrated gradients, the share of the difference in log-odds that the scores miss.
    """

    sentence: Sentence
    scores: np.ndarray
    token: int
    tag: str
    probability: float
    method: str
    gap: float | None = None

    @property
    def words(self) -> list[str]:
        return self.sentence.words

    @property
    def label(self) -> str:
        """What is explained, in words: the tag, the word with its features, and its number, from 1."""
        beside = "".join(f"/{values[self.token]}" for values in self.sentence.features)
        return f"{self.tag} of {self.words[self.token]}{beside} (word {self.token + 1})"

    @property
    def tokens(self) -> list[str]:
        return self.words

    @property
    def steps(self) -> list[str]:
        return self.words

    @property
    def is_text(self) -> bool:
        return True

    @property
    def text(self) -> str:
        """The words joined by blanks: what the offsets count in."""
        return " ".join(self.words)

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """Where each word starts and ends in the text."""
        ends = np.cumsum([len(word) + 1 for word in self.words]).tolist()
        return [(end - 1 - len(word), end - 1) for word, end in zip(self.words, ends, strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        fields = {
            "method": self.method,
            "tokens": self.words,
            "token": self.token,
            "tag": self.tag,
            "probability": round(self.probability, 6),
        }
        fields |= {"features": list(self.sentence.features)} if self.sentence.features else {}
        return {
            **fields,
            "scores": [float(f"{score:.6g}") for score in self.scores],
            **({} if self.gap is None else {"gap": self.gap}),
        }

    def _repr_html_(self) -> str:
        """The coloured sentence, for notebooks."""
        return explanation_html(self)


def explain_tag(
    tagger: SequenceTagger, words: Any, *, token: int, tag: str | None = None, method: str = "integrated-gradients"
) -> TagExplanation:
    """Explain one tag of one word.

    Args:
        tagger: a fitted tagger.
        words: the sentence, as for `predict`.
        token: which word, counted from 0.
        tag: one that the tagger learnt; by default its answer there.
        method: `integrated-gradients`, `gradient-x-input` or `occlusion`.

    Raises:
        ConfigError: the method is unknown or not one of taggers; there is no such word or tag; the tag has probability 0 there.
        DataError: the sentence is empty, or a word cannot be used.
        NotFittedError: before `fit`.
    """
    refuse_unfit(tagger, method)
    (sentence,) = as_sentences([words], "sentence")
    with opened(tagger.model_):
        return _explain_sentence(tagger, sentence, neutral_vector(tagger), method, tag, [token])[0]


def explain_tags(
    tagger: SequenceTagger,
    sentences: Iterable[Any],
    *,
    method: str = "integrated-gradients",
    tag: str | None = None,
    tokens: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> list[list[TagExplanation]]:
    """Explain the answers to sentences.

    Args:
        tagger: a fitted tagger.
        sentences: lists of words, or of tuples (word, feature, …); or strings, as for `predict`.
        method, tag: as in `explain_tag`.
        tokens: which words of each sentence to explain, counted from 0. By default, of each entity found, its least
            certain word; where the tags mark no entities, the least certain word of the sentence.
        progress: where to show how far it is.

    Returns:
        The explanations of each sentence: none where no entity was found.

    Raises:
        ConfigError, DataError, NotFittedError: as in `explain_tag`.
    """
    refuse_unfit(tagger, method)
    given = as_sentences(sentences, "sentence")
    with opened(tagger.model_):
        neutral = neutral_vector(tagger)
        tracked = (progress or Progress(quiet=True)).track(given, "explaining")
        return [_explain_sentence(tagger, sentence, neutral, method, tag, tokens) for sentence in tracked]


def refuse_unfit(tagger: SequenceTagger, method: str) -> None:
    """Refuse a tagger that is not fitted, and a method that it cannot give."""
    if not hasattr(tagger, "model_"):
        raise NotFittedError(
            "This SequenceTagger is not fitted yet: there is nothing to explain. Call fit(X, y) first, or ostinato.load(path)."
        )
    if method in NOT_OF_TAGGERS:
        raise ConfigError(
            f"method {method!r} is not one that a tagger has: {NOT_OF_TAGGERS[method]}. Choose from: {', '.join(TAG_METHODS)}."
        )
    look_up(TAG_METHODS, method, "method")


@torch.no_grad()
def neutral_vector(tagger: SequenceTagger) -> Tensor:
    """The vector of a word of which nothing is known. (D,)."""
    model, encoder = tagger.model_, tagger.encoder_
    words = list(encoder.words.tokens[UNKNOWN + 1 :] or encoder.words.tokens)
    every = encoder.encode(
        [Sentence(words, None, "the vocabulary", features=[[UNKNOWN_TOKEN] * len(words)] * len(encoder.features))]
    )
    neutral = model.vectors(every.to(model.device)).mean(dim=0)  # (V, D) -> (D,)
    if model.word_dropout or tagger.min_count > 1 or tagger.max_size is not None:
        word = model.embed(torch.tensor([UNKNOWN], device=model.device)).squeeze(0)
        neutral[: len(word)] = word
    averages = [table[min(UNKNOWN + 1, len(table) - 1) :].mean(dim=0) for table in model.features.parameters()]
    return torch.cat([neutral[: len(neutral) - sum(map(len, averages))], *averages])


class SentenceVectors:
    """A sentence as the stack reads it, and what the tagger says when its vectors are others.

    Attributes:
        x: (T, D).
        neutral: (D,).
    """

    def __init__(self, model: Tagger, sentence: Sentences, neutral: Tensor) -> None:
        self.model, self.neutral = model, neutral
        with torch.no_grad():
            self.x = model.vectors(sentence.to(model.device))

    def scores(self, x: Tensor) -> Tensor:
        """The tags' scores at each word of copies of the sentence. (k, T, D) -> (k, T, C)."""
        scores = self.model.score(x.flatten(0, 1), Layout(torch.full((len(x),), x.shape[1]), x.device))
        return scores.float().view(len(x), x.shape[1], -1)

    @torch.no_grad()
    def marginals(self, scores: Tensor) -> Tensor:
        """Each tag's probability at each word of copies of the sentence. (k, T, C) -> (k, T, C)."""
        return self.model.marginals(scores.flatten(0, 1), torch.full((len(scores),), scores.shape[1])).view_as(scores)

    def log_marginals(self, x: Tensor) -> Tensor:
        """The logarithm of each tag's probability at each word of copies of the sentence. (k, T, D) -> (k, T, C)."""
        p = self.marginals(self.scores(x))
        return p.clamp(min=torch.finfo(p.dtype).tiny).log()

    def derivative(self, scores: Tensor, tokens: Tensor, tags: Tensor) -> Tensor:
        """Of the log-odds of a tag of a word of each copy, by all scores: p(y | the tag there) − p(y | another there).

        The log-odds are log Z over the sequences with that tag there, less log Z over those with another, and the
        derivative of a log Z is its marginals. (k, T, C), (k,), (k,) -> (k, T, C).
        """
        copies = torch.arange(len(scores), device=scores.device)
        with_it, without = scores.clone(), scores.clone()
        with_it[copies, tokens] -= EXCLUDED
        with_it[copies, tokens, tags] = scores[copies, tokens, tags]
        without[copies, tokens, tags] -= EXCLUDED
        return self.marginals(with_it) - self.marginals(without)

    def parts(self, count: int) -> Iterator[slice]:
        """So many copies, as many at a time as memory is sure to hold."""
        tags, units = self.model.head.out_features, self.model.stack.output_size
        size = max(1, NUMBERS_AT_A_TIME // max(tags * tags, len(self.x) * (tags + KEPT * units)))
        return (slice(start, start + size) for start in range(0, count, size))

    @torch.no_grad()
    def masked(self, masks: np.ndarray, tokens: np.ndarray) -> Tensor:
        """The log-probabilities at some words when others are masked. (K, T), (Q,) -> (K, Q, C)."""
        found = []
        for part in self.parts(len(masks)):
            mask = torch.from_numpy(masks[part]).to(self.x.device).unsqueeze(2)  # (k, T) -> (k, T, 1)
            found.append(self.log_marginals(torch.where(mask, self.neutral, self.x))[:, tokens])
        return torch.cat(found)


class _TagWay:
    """The straight way from all words neutral (share 0) to the sentence (share 1); a row is a word and a tag of it."""

    def __init__(self, sentence: SentenceVectors, tokens: np.ndarray, tags: np.ndarray) -> None:
        self.sentence = sentence
        self.tokens, self.tags = (torch.from_numpy(each).to(sentence.x.device) for each in (tokens, tags))
        self.difference = sentence.x - sentence.neutral

    @torch.no_grad()
    def log_odds(self, rows: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """As in `Way`."""
        found = [np.empty(0)]
        for part in self.sentence.parts(len(rows)):
            answers = self.sentence.log_marginals(self._at(shares[part]))
            own = answers[torch.arange(len(answers)), self.tokens[rows[part]]]  # (k, T, C) -> (k, C)
            found.append(log_odds(own, self.tags[rows[part]]).double().cpu().numpy())
        return np.concatenate(found)

    def slopes(self, rows: np.ndarray, shares: np.ndarray) -> list[np.ndarray]:
        """As in `Way`."""
        found: list[np.ndarray] = []
        for part in self.sentence.parts(len(rows)):
            x = self._at(shares[part]).requires_grad_()
            with torch.enable_grad():
                scores = self.sentence.scores(x)
            by_scores = self.sentence.derivative(scores.detach(), self.tokens[rows[part]], self.tags[rows[part]])
            steps = (torch.autograd.grad(scores, x, by_scores)[0] * self.difference).sum(dim=2)  # (k, T, D) -> (k, T)
            found += list(steps.double().cpu().numpy())
        return found

    def _at(self, shares: np.ndarray) -> Tensor:
        share = torch.from_numpy(shares).to(self.difference).view(-1, 1, 1)
        return self.sentence.neutral + share * self.difference  # (k, T, D)


Scores = tuple[list[np.ndarray], np.ndarray | None]  # of each (word, tag): one a word (T,); and the gaps
TagMethod = Callable[[SentenceVectors, np.ndarray, np.ndarray], Scores]  # (the sentence, Q words, a tag of each)


def _integrated_gradients(sentence: SentenceVectors, tokens: np.ndarray, tags: np.ndarray) -> Scores:
    return follow(_TagWay(sentence, tokens, tags), len(tokens))


def _gradient_x_input(sentence: SentenceVectors, tokens: np.ndarray, tags: np.ndarray) -> Scores:
    return _TagWay(sentence, tokens, tags).slopes(np.arange(len(tokens)), np.ones(len(tokens))), None


def _occlusion(sentence: SentenceVectors, tokens: np.ndarray, tags: np.ndarray) -> Scores:
    """What the log-odds lose when a word is masked."""
    T = len(sentence.x)
    answers = sentence.masked(
        np.vstack([np.zeros((1, T), bool), np.eye(T, dtype=bool)]), tokens
    ).double()  # (1 + T, Q, C)
    odds = log_odds(answers.flatten(0, 1), torch.from_numpy(tags).to(answers.device).repeat(1 + T)).view(1 + T, -1)
    return list((odds[0] - odds[1:]).T.cpu().numpy()), None


TAG_METHODS: dict[str, TagMethod] = {
    "integrated-gradients": _integrated_gradients,
    "gradient-x-input": _gradient_x_input,
    "occlusion": _occlusion,
}


def _explain_sentence(
    tagger: SequenceTagger,
    sentence: Sentence,
    neutral: Tensor,
    method: str,
    tag: str | None,
    tokens: Sequence[int] | None,
) -> list[TagExplanation]:
    """The explanations of a sentence's words, all asked at once."""
    words, encoded = sentence.words, tagger.encoder_.encode([sentence])
    best, probabilities = (
        predict_tags(tagger.model_, encoded)[0].numpy(),
        predict_marginals(tagger.model_, encoded).numpy(),
    )
    places = np.array(
        _places(tagger, best, probabilities) if tokens is None else _checked(tokens, words), dtype=np.int64
    )
    if not len(places):
        return []
    names = tagger.encoder_.tags
    tags = (
        best[places]
        if tag is None
        else np.full(len(places), look_up({name: index for index, name in enumerate(names)}, tag, "tag"))
    )
    for place, index in zip(places, tags, strict=True):
        if probabilities[place, index] == 0:
            raise ConfigError(
                f"tag {names[index]!r} has probability 0 at token {place} ({words[place]!r}): nothing spoke for it. Explain another tag."
            )
    scores, gaps = TAG_METHODS[method](SentenceVectors(tagger.model_, encoded, neutral), places, tags)
    return [
        TagExplanation(
            sentence,
            scores[row],
            int(place),
            names[index],
            float(probabilities[place, index]),
            method,
            None if gaps is None else float(gaps[row]),
        )
        for row, (place, index) in enumerate(zip(places, tags, strict=True))
    ]


def _places(tagger: SequenceTagger, best: np.ndarray, probabilities: np.ndarray) -> list[int]:
    """The least certain word of each entity, or of the sentence."""
    sure = probabilities[np.arange(len(best)), best]
    if tagger.encoder_.scheme is None:
        return [int(sure.argmin())]
    (tags,) = tagger.encoder_.decode(best, [len(best)])
    return [entity.start + int(sure[entity.start : entity.end].argmin()) for entity in conlleval_entities(tags)]


def _checked(tokens: Sequence[int], words: list[str]) -> Sequence[int]:
    for token in tokens:
        if not 0 <= token < len(words):
            raise ConfigError(
                f"token {token}: the sentence has {len(words)} words ({' '.join(words)[:60]}). Choose from 0 to {len(words) - 1}."
            )
    return tokens
