"""Labelled sentences from JSONL files, an object each: lists of words and tags, or a text with spans; memory does not grow with the file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ostinato.data.columns import no_sentence, refuse_one_column_twice
from ostinato.data.examples import Sentence
from ostinato.data.files import check_unicode
from ostinato.data.spans import Span, spans_to_tags, tokenize_text
from ostinato.data.tables import jsonl_rows
from ostinato.errors import DataError, suggest


def from_text(text: str, place: str) -> Sentence:
    """A text cut into words and punctuation marks."""
    tokens = tokenize_text(text)
    return Sentence([word for word, _, _ in tokens], None, place, text, [(start, end) for _, start, end in tokens])


def read_tag_jsonl(
    path: Path,
    *,
    word_column: str = "tokens",
    tag_column: str = "tags",
    feature_columns: Sequence[str] = (),
    labelled: bool = True,
) -> Iterator[Sentence]:
    """Stream the sentences of a JSONL file: lists of words and tags an object, or `text` with `spans`, whose tags are then those of `iob2`.

    A span is a list [start, end, label] or an object with these keys, in characters counted from 0.

    Raises:
        DataError: the file is missing, empty or malformed; the lists differ in length or hold what is no text; a span
            cannot be told by tags (see `spans_to_tags`).
    """
    tag = tag_column if labelled else None
    refuse_one_column_twice(
        path, "", (word_column, word_column), (tag_column, tag), zip(feature_columns, feature_columns, strict=True)
    )
    empty = True
    for row_place, row in jsonl_rows(path):
        place = f"{path}, line {row_place.rpartition(' ')[2]}"
        if word_column in row or "text" not in row:
            sentence = _listed(row, word_column, tag, feature_columns, place)
        else:
            if feature_columns:
                raise DataError(
                    f"{place}: a text has no feature_columns ({', '.join(feature_columns)}). Give lists of tokens and of their features."
                )
            sentence = _spanned(row, labelled, place)
        if not sentence.words:
            raise DataError(f"{place}: the sentence holds no word. Expected one or more: remove the line.")
        empty = False
        yield sentence
    if empty:
        raise no_sentence(path)


def _listed(
    row: dict[str, Any], word_column: str, tag_column: str | None, feature_columns: Sequence[str], place: str
) -> Sentence:
    words = _texts(row, word_column, "word_column", (str,), place)
    tags = None if tag_column is None else _texts(row, tag_column, "tag_column", (str, int), place)
    features = [_texts(row, column, "feature_columns", (str, int), place) for column in feature_columns]
    for beside, what in ((tags, "tag"), *((values, "feature") for values in features)):
        if beside is not None and len(beside) != len(words):
            raise DataError(f"{place}: {len(beside)} {what}s for {len(words)} words. Give one {what} for each word.")
    return Sentence(words, tags, place, features=tuple(features))


def _texts(row: dict[str, Any], column: str, key: str, kinds: tuple[type, ...], place: str) -> list[str]:
    """A list as texts; numbers, where `kinds` has them, as they are written."""
    if column not in row:
        raise DataError(
            f"{place}: no column {column!r}. {suggest(column, row)}Columns: {', '.join(row)}. Set data.{key} to one of them."
        )
    values = row[column]
    if not isinstance(values, list):
        raise DataError(f"{place}: {column} is {values!r}, expected a list of texts. Write one for each token.")
    for number, value in enumerate(values, start=1):
        if type(value) not in kinds or value == "":
            raise DataError(
                f"{place}: {column}, item {number} is {value!r}, expected a text that is not empty. Fill it in, or remove the token."
            )
        check_unicode(str(value), f"{place}: {column}, item {number}")
    return [str(value) for value in values]


def _spanned(row: dict[str, Any], labelled: bool, place: str) -> Sentence:
    text = row["text"]
    if not isinstance(text, str):
        raise DataError(f"{place}: text is {text!r}, expected a text. Write it in quotes.")
    check_unicode(text, place)
    if not labelled:
        return from_text(text, place)
    if not isinstance(row.get("spans"), list):
        raise DataError(f"{place}: spans are {row.get('spans')!r}, expected a list. Write [] where the text has none.")
    spans = [_to_span(span, place) for span in row["spans"]]
    try:
        words, tags, offsets = spans_to_tags(text, spans)
    except DataError as error:
        raise DataError(f"{place}: {error}") from None
    return Sentence(words, tags, place, text, offsets)


def _to_span(value: Any, place: str) -> Span:
    parts = [value.get(key) for key in ("start", "end", "label")] if isinstance(value, dict) else value
    if not isinstance(parts, list) or [type(part) for part in parts] != [int, int, str]:
        raise DataError(
            f'{place}: {value!r} is no span. Expected [start, end, label] or {{"start": …, "end": …, "label": …}}.'
        )
    check_unicode(parts[2], f"{place}, span {value}")
    return parts[0], parts[1], parts[2]
