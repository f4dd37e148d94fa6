"""Streams of sentences in, their tags out: JSON lines, CoNLL columns, or coloured text; a few hundred are in memory at a time."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from rich.text import Text

from ostinato.data.columns import write_columns
from ostinato.data.examples import Sentence
from ostinato.data.schemes import OUTSIDE, Entity, conlleval_entities
from ostinato.data.tag_rows import from_text
from ostinato.errors import DataError
from ostinato.estimators import SequenceTagger, refuse_strange_features
from ostinato.models import predict_certain_tags

ROWS_AT_A_TIME = 512
STYLES = ("bold green", "bold blue", "bold magenta", "bold yellow", "bold cyan", "bold red")


class Answer(NamedTuple):
    """A sentence's tags and how probable each is.

    Args:
        entities: None: the tags mark none.
    """

    sentence: Sentence
    tags: list[str]
    probabilities: list[float]
    entities: list[Entity] | None

    def probability(self, entity: Entity) -> float:
        """That of the entity's least sure token."""
        return min(self.probabilities[entity.start : entity.end])


def from_texts(texts: Iterable[tuple[str, str]]) -> Iterator[Sentence]:
    """Texts, each with its place, cut into words and punctuation marks.

    Raises:
        DataError: a text holds no word.
    """
    for place, text in texts:
        sentence = from_text(text, place)
        if not sentence.words:
            raise DataError(f"{place}: the sentence is empty: there is nothing to tag. Leave it out.")
        yield sentence


def with_known_features(tagger: SequenceTagger, sentences: Iterator[Sentence]) -> Iterator[Sentence]:
    """The same sentences, once the first of them are seen to have features that training met.

    Raises:
        DataError: see `refuse_strange_features`.
    """
    first = list(islice(sentences, ROWS_AT_A_TIME))
    refuse_strange_features(tagger.encoder_, first)
    yield from chain(first, sentences)


def answers(tagger: SequenceTagger, sentences: Iterator[Sentence]) -> Iterator[Answer]:
    """The answer to each sentence, in order.

    Raises:
        DataError: a sentence has not as many features as training read.
    """
    encoder = tagger.encoder_
    while batch := list(islice(sentences, ROWS_AT_A_TIME)):
        encoded = encoder.encode(batch)
        best, certainty = predict_certain_tags(tagger.model_, encoded)
        sure = certainty.tolist()
        start = 0
        for sentence, tags in zip(batch, encoder.decode(best.numpy(), encoded.lengths.tolist()), strict=True):
            marked = None if encoder.scheme is None else conlleval_entities(tags)
            yield Answer(sentence, tags, sure[start : start + len(tags)], marked)
            start += len(tags)


def json_lines(found: Iterable[Answer]) -> Iterator[str]:
    """A JSON line a sentence: `tokens`, their `features` if any, `tags`, `probabilities`; with entities `spans`, in characters of `text` or in tokens."""
    for answer in found:
        row: dict[str, Any] = {} if answer.sentence.text is None else {"text": answer.sentence.text}
        row |= {"tokens": answer.sentence.words} | (
            {"features": list(answer.sentence.features)} if answer.sentence.features else {}
        )
        row |= {"tags": answer.tags, "probabilities": [round(each, 6) for each in answer.probabilities]}
        if answer.entities is not None:
            row["spans"] = [_span(answer, entity) for entity in answer.entities]
        yield json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def column_lines(found: Iterable[Answer]) -> Iterator[str]:
    """Word, features and tag, parted by tabs; an empty line after each sentence."""
    for answer in found:
        yield from write_columns([answer.sentence], [answer.tags])


def coloured(found: Iterable[Answer]) -> Iterator[Text]:
    """A line a sentence: entities in the colour of their type, followed by it; where the tags mark none, so each word whose tag is not O."""
    styles: dict[str, str] = {}
    for answer in found:
        text, offsets = _laid_out(answer.sentence)
        line, at = Text(), 0
        words = [Entity(tag, t, t + 1) for t, tag in enumerate(answer.tags) if tag != OUTSIDE]
        for entity in words if answer.entities is None else answer.entities:
            start, end = offsets[entity.start][0], offsets[entity.end - 1][1]
            style = styles.setdefault(entity.type, STYLES[len(styles) % len(STYLES)])
            line.append(text[at:start]).append(text[start:end], style).append(f"[{entity.type}]", "dim")
            at = end
        yield line.append(text[at:])


FORMATS: dict[str, Callable[[Iterable[Answer]], Iterator[Any]]] = {
    "jsonl": json_lines,
    "conll": column_lines,
    "text": coloured,
}


def _span(answer: Answer, entity: Entity) -> dict[str, Any]:
    text, offsets = _laid_out(answer.sentence)
    start, end = offsets[entity.start][0], offsets[entity.end - 1][1]
    where = (
        {"start": start, "end": end}
        if answer.sentence.text is not None
        else {"first_token": entity.start, "end_token": entity.end}
    )
    return {**where, "label": entity.type, "text": text[start:end], "probability": round(answer.probability(entity), 6)}


def _laid_out(sentence: Sentence) -> tuple[str, Sequence[tuple[int, int]]]:
    """The text, else the words joined by blanks, and each word's characters in it."""
    if sentence.text is not None:
        return sentence.text, sentence.offsets
    offsets, at = [], 0
    for word in sentence.words:
        offsets.append((at, at + len(word)))
        at += len(word) + 1
    return " ".join(sentence.words), offsets
