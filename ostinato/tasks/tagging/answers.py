"""Sentences in, their tags out: JSON lines, CoNLL columns, or coloured text."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from rich.text import Text

from ostinato.data.columns import write_columns
from ostinato.data.examples import Sentence
from ostinato.errors import DataError
from ostinato.tasks.base import ALL_UNKNOWN, Answered, Model
from ostinato.tasks.tagging.encoder import check_features, refuse_unseen_features
from ostinato.tasks.tagging.network import predict_certain_tags
from ostinato.tasks.tagging.rows import from_text
from ostinato.tasks.tagging.schemes import OUTSIDE, Entity, conlleval_entities

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


def from_texts(texts: Iterable[tuple[str, str]]) -> Iterator[Sentence | DataError]:
    """Texts, each with its source, cut into words and punctuation marks."""
    for source, text in texts:
        sentence = from_text(text, source)
        if sentence.words:
            yield sentence
        else:
            yield DataError(f"{source}: the sentence is empty. Fill it in, or remove it.").at(source)


def answer(model: Model, rows: Iterator[Sentence | DataError], *, form: str, strict: bool) -> Iterator[Answered]:
    """The answer to each sentence, in order; see `Task.answer`.

    Raises:
        DataError: the first sentences' features are not those of the training; `strict`, and a row has a problem.
    """
    write = FORMATS[form](model)
    is_first = True
    while batch := list(islice(rows, ROWS_AT_A_TIME)):
        if is_first:
            refuse_unseen_features(model.encoder, [row for row in batch if isinstance(row, Sentence)])
            is_first = False
        errors = [_why_not(model, row) for row in batch]
        usable = [row for row, error in zip(batch, errors, strict=True) if error is None and isinstance(row, Sentence)]
        answers = answers_of(model, usable)
        for row, error in zip(batch, errors, strict=True):
            if error is not None:
                if strict:
                    raise error
                yield Answered(row.source, None, str(error))
                continue
            found = next(answers)
            warning = None if model.encoder.knows(found.sentence.words).any() else ALL_UNKNOWN
            if warning is not None and strict:
                raise DataError(f"{found.sentence.source}: {warning}. Remove the row, or predict without --strict.")
            yield Answered(found.sentence.source, write(found, warning), None, warning)


def _why_not(model: Model, row: Sentence | DataError) -> DataError | None:
    if isinstance(row, DataError):
        return row
    try:
        check_features([row], len(model.encoder.features), "in training")
    except DataError as error:
        return error
    return None


def answers_of(model: Model, sentences: Sequence[Sentence]) -> Iterator[Answer]:
    """The answer to each sentence, in order.

    Raises:
        DataError: a sentence has another number of features than training.
    """
    encoded = model.encoder.encode(sentences)
    best = predict_certain_tags(model.network, encoded)
    probabilities = best.probabilities.tolist()
    start = 0
    decoded = model.codec.decode(best.tags.numpy(), encoded.lengths.tolist())
    for sentence, tags in zip(sentences, decoded, strict=True):
        marked = None if model.codec.scheme is None else conlleval_entities(tags)
        yield Answer(sentence, tags, probabilities[start : start + len(tags)], marked)
        start += len(tags)


Writer = Callable[[Answer, str | None], Any]  # from an answer and a warning about it to what is printed


def _json_line(model: Model) -> Writer:
    """Tokens, features, tags, probabilities and, with entities, spans: in characters of a text, or in tokens."""

    def write(answer: Answer, warning: str | None) -> str:
        sentence = answer.sentence
        row: dict[str, Any] = {} if sentence.text is None else {"text": sentence.text}
        row |= {"tokens": sentence.words} | ({"features": list(sentence.features)} if sentence.features else {})
        row |= {"tags": answer.tags, "probabilities": [round(each, 6) for each in answer.probabilities]}
        if answer.entities is not None:
            row["spans"] = [_span(answer, entity) for entity in answer.entities]
        row |= {} if warning is None else {"warning": warning}
        return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"

    return write


def _columns(model: Model) -> Writer:
    """Word, features and tag, separated by tabs; an empty line after each sentence."""
    return lambda answer, _: "".join(write_columns([answer.sentence], [answer.tags]))


def _coloured(model: Model) -> Writer:
    """The text, entities in the colour of their type and followed by it; without entities, each word that is not O."""
    styles: dict[str, str] = {}

    def write(answer: Answer, warning: str | None) -> Text:
        text, offsets = _laid_out(answer.sentence)
        line, at = Text(), 0
        words = [Entity(tag, t, t + 1) for t, tag in enumerate(answer.tags) if tag != OUTSIDE]
        for entity in words if answer.entities is None else answer.entities:
            start, end = offsets[entity.start][0], offsets[entity.end - 1][1]
            style = styles.setdefault(entity.type, STYLES[len(styles) % len(STYLES)])
            line.append(text[at:start]).append(text[start:end], style).append(f"[{entity.type}]", "dim")
            at = end
        return line.append(text[at:])

    return write


FORMATS: dict[str, Callable[[Model], Writer]] = {"jsonl": _json_line, "conll": _columns, "text": _coloured}


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
