"""Answer sentences with their tags, and print them as CoNLL columns or coloured text."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from rich.text import Text

from ostinato.data.columns import write_columns
from ostinato.data.examples import Sentence
from ostinato.errors import DataError
from ostinato.printable import visible, visible_lines
from ostinato.tasks.base import ALL_UNKNOWN
from ostinato.tasks.records import Answered, Model
from ostinato.tasks.tagging.encoder import refuse_unseen_features
from ostinato.tasks.tagging.encoding import check_features
from ostinato.tasks.tagging.network import predict_certain_tags
from ostinato.tasks.tagging.portable import Answer, text_and_offsets
from ostinato.tasks.tagging.schemes import OUTSIDE, Entity, conlleval_entities

ROWS_AT_A_TIME = 512
STYLES = ("bold green", "bold blue", "bold magenta", "bold yellow", "bold cyan", "bold red")


def answer(model: Model, rows: Iterator[Sentence | DataError], *, strict: bool) -> Iterator[Answered]:
    """Answer sentences in order; see `Task.answer`.

    Raises:
        DataError: the features of the first batch do not match those of training; or `strict`, and a row has an error
            or a warning.
    """
    is_first = True
    while batch := list(islice(rows, ROWS_AT_A_TIME)):
        if is_first:
            refuse_unseen_features(model.encoder, [row for row in batch if isinstance(row, Sentence)])
            is_first = False
        errors = [error_of(model, row) for row in batch]
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
            yield Answered(found.sentence.source, found, None, warning)


def error_of(model: Model, row: Sentence | DataError) -> DataError | None:
    """Why the model cannot answer a row; None if it can."""
    if isinstance(row, DataError):
        return row
    try:
        check_features([row], len(model.encoder.features), "in training")
    except DataError as error:
        return error.at(row.source)
    return None


def answers_of(model: Model, sentences: Sequence[Sentence]) -> Iterator[Answer]:
    """Predict the tags of sentences, in order.

    Raises:
        DataError: the number of features of a sentence differs from training.
    """
    encoded = model.encoder.encode(sentences)
    best = predict_certain_tags(model.network, encoded)
    probabilities = best.probabilities.tolist()
    start = 0
    decoded = model.codec.decode(best.tags.numpy(), encoded.lengths.tolist())
    for sentence, tags in zip(sentences, decoded, strict=True):
        entities = None if model.codec.scheme is None else conlleval_entities(tags)
        yield Answer(sentence, tags, probabilities[start : start + len(tags)], entities)
        start += len(tags)


Writer = Callable[[Answered], Any]  # formats an answer for printing


def _columns() -> Writer:
    """Word, features and tag, separated by tabs; an empty line after each sentence."""
    return lambda answered: "".join(write_columns([answered.answer.sentence], [answered.answer.tags]))


def _coloured() -> Writer:
    """The text with each entity in the colour of its type, followed by the type; without a scheme, each tag but O."""
    styles: dict[str, str] = {}

    def write(answered: Answered) -> Text:
        answer: Answer = answered.answer
        text, offsets = text_and_offsets(answer.sentence)
        line, at = Text(), 0
        words = [Entity(tag, t, t + 1) for t, tag in enumerate(answer.tags) if tag != OUTSIDE]
        for entity in words if answer.entities is None else answer.entities:
            start, end = offsets[entity.start][0], offsets[entity.end - 1][1]
            style = styles.setdefault(entity.type, STYLES[len(styles) % len(STYLES)])
            line.append(visible_lines(text[at:start])).append(visible_lines(text[start:end]), style)
            line.append(f"[{visible(entity.type)}]", "dim")
            at = end
        return line.append(visible_lines(text[at:]))

    return write


WRITERS: dict[str, Callable[[], Writer]] = {"conll": _columns, "text": _coloured}  # besides JSON lines
