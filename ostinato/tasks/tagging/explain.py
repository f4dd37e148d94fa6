"""Explain the tag of one word with one score per word of the sentence.

The explained number is the log-odds of the tag's probability at that word; with a CRF, of its marginal probability over
all tag sequences. The vector of a word joins everything that the tagger reads of it: word, word shape, characters and
features. Masking replaces it with the neutral vector, the mean over the words of the vocabulary. If training contained
unknown words (because of `word_dropout`, `min_count` or `max_size`), the word part of the neutral vector is the
embedding of `<unk>`. The part of a feature is the mean over its values. Masking does not change the sentence's length.
A wide part ignores the features of masked words; the contribution of a feature is shared equally by its words.

The explanation of an ensemble is the mean of the members' explanations of the same tag.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ostinato.data.examples import Sentence
from ostinato.errors import ConfigError, look_up
from ostinato.explanation.attribution import METHODS
from ostinato.explanation.explanation import Explanation
from ostinato.explanation.gradients import integrate
from ostinato.explanation.masking import opened
from ostinato.explanation.records import ExplainedRows, Truth, measure_rows
from ostinato.nn.sequence_network import log_odds
from ostinato.nn.wide_tokens import REACH
from ostinato.progress import Progress
from ostinato.tasks.records import Model
from ostinato.tasks.tagging.answers import answers_of
from ostinato.tasks.tagging.codec import TagCodec
from ostinato.tasks.tagging.encoder import refuse_unseen_features
from ostinato.tasks.tagging.inputs import as_sentences
from ostinato.tasks.tagging.network import predict_marginals, predict_tags
from ostinato.tasks.tagging.schemes import OUTSIDE, conlleval_entities, to_tags
from ostinato.tasks.tagging.sentence_vectors import Reader, SentenceVectors, readers_of

REASONS = {
    "attention": "it has no pooling",
    "in-silico-mutagenesis": "its tokens are words, not nucleotides or amino acids",
}


def explain_tags(
    model: Model,
    sentences: Iterable[Any],
    *,
    method: str = "integrated-gradients",
    label: str | None = None,
    tokens: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> list[Explanation]:
    """Explain tags of words in sentences; the field `row` of an explanation is the index of its sentence.

    Args:
        model: a trained tagger.
        sentences: lists of words, lists of tuples (word, feature, …), or strings, as for `predict`.
        method: `integrated-gradients`, `gradient-x-input` or `occlusion`.
        label: the tag to explain, a learned tag (in `target_scheme`); by default the predicted one.
        tokens: the words of each sentence to explain, counted from 0. By default the least certain word of each
            predicted entity; if the tags do not mark entities, the least certain word of the sentence.
        progress: where to show progress.

    Raises:
        ConfigError: the tagger does not have the method or label, a sentence does not have the token, or the tag has
            probability 0.
        DataError: a sentence is empty, or a word is invalid.
    """
    if method in METHODS and method not in TAG_METHODS:
        raise ConfigError(
            f"method {method!r} is not available for taggers: {REASONS[method]}. Choose from: {', '.join(TAG_METHODS)}."
        )
    look_up(TAG_METHODS, method, "method")
    converted = as_sentences(sentences, "sentence")
    with opened(model.network):
        readers = readers_of(model)
        tracked = enumerate((progress or Progress(quiet=True)).track(converted, "explaining"))
        return [
            explanation
            for row, sentence in tracked
            for explanation in _explain_sentence(model, sentence, row, readers, method, label, tokens)
        ]


def explain_rows(
    model: Model,
    rows: Sequence[Sentence],
    *,
    method: str,
    label: str | None = None,
    tokens: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> ExplainedRows:
    """Explain tags of sentences, and measure how faithful the explanations are; see `Task.explain_rows`."""
    refuse_unseen_features(model.encoder, rows)
    explanations = explain_tags(model, rows, method=method, label=label, tokens=tokens, progress=progress)

    def truth_of(explanation: Explanation) -> Truth | None:
        assert explanation.token is not None
        tag = true_tag(model.codec, explanation.sentence, explanation.token)
        return None if tag is None else Truth(tag, tag == explanation.label)

    return measure_rows(model, explanations, [row.source for row in rows], truth_of, progress=progress)


def sentences_with_entities(model: Model, sentences: Sequence[Sentence], count: int) -> list[Sentence]:
    """The first `count` sentences in which the tagger finds an entity.

    If it finds none, or if the tags do not mark entities, the first `count` of all sentences.
    """
    if model.codec.scheme is None:
        return list(sentences[:count])
    answers = answers_of(model, sentences)
    found = list(islice((answer.sentence for answer in answers if set(answer.tags) != {OUTSIDE}), count))
    return found or list(sentences[:count])


def true_tag(codec: TagCodec, sentence: Sentence, token: int) -> str | None:
    """The true tag of a word, in the scheme that the tagger learned; None for unlabelled sentences."""
    if sentence.tags is None:
        return None
    if codec.target_scheme is None or codec.scheme == codec.target_scheme:
        return sentence.tags[token]
    return to_tags(conlleval_entities(sentence.tags), len(sentence.tags), codec.target_scheme)[token]


class _StraightLine:
    """The straight path from neutral words (share 0) to the sentence (share 1); each row is one word with one tag."""

    def __init__(self, sentence: SentenceVectors, tokens: np.ndarray, tags: np.ndarray) -> None:
        self.sentence = sentence
        self.tokens, self.tags = (torch.from_numpy(each).to(sentence.x.device) for each in (tokens, tags))
        self.difference = sentence.x - sentence.neutral
        none_or_all = torch.tensor([[False], [True]], device=sentence.x.device).expand(2, len(sentence.x))
        self.wide = sentence.wide(none_or_all)

    @torch.no_grad()
    def values(self, rows: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """As in `ostinato.explanation.gradients.Path`."""
        found = [np.empty(0)]
        for part in self.sentence.parts(len(rows)):
            answers = self.sentence.log_marginals(self._scores(self._at(shares[part]), shares[part]))
            own = answers[torch.arange(len(answers)), self.tokens[rows[part]]]  # (k, T, C) -> (k, C)
            found.append(log_odds(own, self.tags[rows[part]]).double().cpu().numpy())
        return np.concatenate(found)

    def slopes(self, rows: np.ndarray, shares: np.ndarray) -> list[np.ndarray]:
        """As in `ostinato.explanation.gradients.Path`."""
        found: list[np.ndarray] = []
        for part in self.sentence.parts(len(rows)):
            x = self._at(shares[part]).requires_grad_()
            with torch.enable_grad():
                scores = self._scores(x, shares[part])
            by_scores = self.sentence.derivative(scores.detach(), self.tokens[rows[part]], self.tags[rows[part]])
            steps = (torch.autograd.grad(scores, x, by_scores)[0] * self.difference).sum(dim=2)  # (k, T, D) -> (k, T)
            found += list((steps + self._of_wide(by_scores)).double().cpu().numpy())
        return found

    def _scores(self, x: Tensor, shares: np.ndarray) -> Tensor:
        """The scores of all tags; those of the wide part grow with the share. (k, T, D), (k,) -> (k, T, C)."""
        full, masked = self.wide
        share = torch.from_numpy(shares).to(full).view(-1, 1, 1)
        scores: Tensor = self.sentence.deep(x) + masked + share * (full - masked)
        return scores

    @torch.no_grad()
    def _of_wide(self, by_scores: Tensor) -> Tensor:
        """What each word adds through the wide part, for derivatives by all scores. (k, T, C) -> (k, T)."""
        T, found = by_scores.shape[1], torch.zeros_like(by_scores[:, :, 0])
        if self.sentence.network.wide is None:
            return found
        shares = self.sentence.network.wide.contributions(self.sentence.tokens)  # (T, 2 · REACH + 1, C)
        for offset in range(-REACH, REACH + 1):
            here = (by_scores * shares[:, offset + REACH]).sum(dim=2)  # (k, T): of the word at this offset from t
            first, last = max(0, -offset), min(T, T - offset)
            if first < last:
                found[:, first + offset : last + offset] += here[:, first:last]
        return found

    def _at(self, shares: np.ndarray) -> Tensor:
        share = torch.from_numpy(shares).to(self.difference).view(-1, 1, 1)
        return self.sentence.neutral + share * self.difference  # (k, T, D)


Scores = tuple[list[np.ndarray], np.ndarray | None]  # (T,) scores per explained word; and the gaps of integration
TagMethod = Callable[[SentenceVectors, np.ndarray, np.ndarray], Scores]  # sentence, (Q,) words, (Q,) tag indices


def _integrated_gradients(sentence: SentenceVectors, tokens: np.ndarray, tags: np.ndarray) -> Scores:
    return integrate(_StraightLine(sentence, tokens, tags), len(tokens))


def _gradient_x_input(sentence: SentenceVectors, tokens: np.ndarray, tags: np.ndarray) -> Scores:
    return _StraightLine(sentence, tokens, tags).slopes(np.arange(len(tokens)), np.ones(len(tokens))), None


def _occlusion(sentence: SentenceVectors, tokens: np.ndarray, tags: np.ndarray) -> Scores:
    """The drop of the log-odds when a word is masked."""
    T = len(sentence.x)
    masks = np.vstack([np.zeros((1, T), bool), np.eye(T, dtype=bool)])
    answers = sentence.masked(masks, tokens).double()  # (1 + T, Q, C)
    repeated = torch.from_numpy(tags).to(answers.device).repeat(1 + T)
    odds = log_odds(answers.flatten(0, 1), repeated).view(1 + T, -1)
    return list((odds[0] - odds[1:]).T.cpu().numpy()), None


TAG_METHODS: dict[str, TagMethod] = {
    "integrated-gradients": _integrated_gradients,
    "gradient-x-input": _gradient_x_input,
    "occlusion": _occlusion,
}


def _explain_sentence(
    model: Model,
    sentence: Sentence,
    row: int,
    readers: Sequence[Reader],
    method: str,
    label: str | None,
    tokens: Sequence[int] | None,
) -> list[Explanation]:
    """Explain the words of one sentence together."""
    names, encoded = model.codec.names, model.encoder.encode([sentence])
    best = predict_tags(model.network, encoded)[0].numpy()  # (T,)
    probabilities = predict_marginals(model.network, encoded).numpy()  # (T, C)
    words = _least_certain(model.codec, best, probabilities) if tokens is None else _checked(tokens, sentence)
    chosen = np.array(words, dtype=np.int64)
    if not len(chosen):
        return []
    tags = best[chosen]
    if label is not None:
        tags = np.full(len(chosen), look_up({name: index for index, name in enumerate(names)}, label, "tag"))
    for token, tag in zip(chosen, tags, strict=True):
        if probabilities[token, tag] == 0:
            raise ConfigError(
                f"tag {names[tag]!r} has probability 0 at token {token} ({sentence.words[token]!r}), so it cannot be "
                "explained. Choose another tag."
            )
    scores, gaps = _mean_scores(readers, sentence, method, chosen, tags)
    offsets = word_offsets(sentence.words)
    return [
        Explanation(
            method,
            sentence,
            sentence.words,
            offsets,
            scores[number],
            names[tag],
            float(probabilities[token, tag]),
            row=row,
            token=int(token),
            gap=None if gaps is None else float(gaps[number]),
        )
        for number, (token, tag) in enumerate(zip(chosen, tags, strict=True))
    ]


def _mean_scores(
    readers: Sequence[Reader], sentence: Sentence, method: str, tokens: np.ndarray, tags: np.ndarray
) -> Scores:
    """The scores of a tagger, or the mean of those of an ensemble's members; the largest of their gaps."""
    found = [TAG_METHODS[method](reader.vectors(sentence), tokens, tags) for reader in readers]
    weighted = [[reader.weight * each for each in own] for reader, (own, _) in zip(readers, found, strict=True)]
    gaps = [own for _, own in found if own is not None]
    means = [np.sum(of_word, axis=0) for of_word in zip(*weighted, strict=True)]
    return means, np.max(gaps, axis=0) if gaps else None


def word_offsets(words: Sequence[str]) -> list[tuple[int, int]]:
    """The start and end of each word if the words are joined by spaces."""
    ends = np.cumsum([len(word) + 1 for word in words]).tolist()
    return [(end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True)]


def _least_certain(codec: TagCodec, best: np.ndarray, probabilities: np.ndarray) -> list[int]:
    """The least certain word of each entity, or of the sentence if the tags do not mark entities."""
    certainty = probabilities[np.arange(len(best)), best]
    if codec.scheme is None:
        return [int(certainty.argmin())]
    (tags,) = codec.decode(best, [len(best)])
    return [entity.start + int(certainty[entity.start : entity.end].argmin()) for entity in conlleval_entities(tags)]


def _checked(tokens: Sequence[int], sentence: Sentence) -> Sequence[int]:
    count = len(sentence.words)
    for token in tokens:
        if not 0 <= token < count:
            raise ConfigError(
                f"{sentence.source}: no token {token} (word {token + 1}): the sentence has {count} words "
                f"({' '.join(sentence.words)[:60]}). Choose tokens from 0 to {count - 1} (words 1 to {count})."
            )
    return tokens
