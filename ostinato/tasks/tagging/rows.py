"""Convert rows of any format to sentences: columns of words, tags and features, or a text with labelled spans."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, count
from typing import Any

from ostinato.data.examples import Sentence
from ostinato.data.files import check_unicode
from ostinato.data.rows import Row, listed
from ostinato.errors import DataError, suggest
from ostinato.tasks.tagging.inputs import as_sentence
from ostinato.tasks.tagging.spans import Span, spans_to_tags, tokenize_text

TEXT_AND_SPANS = ("text", "spans")  # the columns of a text with labelled spans
ROLES = {"word_column": "word", "tag_column": "tag", "feature_columns": "feature"}


def to_sentence(
    row: Row,
    *,
    word_column: str,
    tag_column: str,
    feature_columns: Sequence[str] = (),
    labelled: bool = True,
) -> Sentence:
    """Convert a row whose columns have one value per token, or a row with a `text` and `spans`.

    Columns are chosen by name or, in CoNLL files, by index from 0; for words and tags, negative indices count from the
    end. If the word column is missing and there is a `text`, the text is split into words and punctuation marks. Its
    spans become tags of the scheme `iob2`. A span is [start, end, label] or an object with these keys, in characters
    counted from 0.

    Args:
        labelled: False: ignore tags and spans.

    Raises:
        DataError: a column is missing or chosen twice; columns differ in length; a value is empty or not text; the
            row has no words; a span cannot be expressed as tags (see `spans_to_tags`).
    """
    if "text" in row.values and word_column not in row.values and not row.lines:
        if feature_columns:
            raise DataError(
                f"{row.source}: a text has no feature columns ({', '.join(feature_columns)}). "
                "Give lists of tokens and of their features instead, or remove data.feature_columns."
            )
        sentence = _from_spans(row, labelled)
    else:
        sentence = _from_columns(row, word_column, tag_column if labelled else None, feature_columns)
    if not sentence.words:
        raise DataError(f"{row.source}: the sentence has no words. Expected at least one. Remove the row.")
    return sentence


def from_text(text: str, source: str) -> Sentence:
    """Split a text into an unlabelled sentence of words and punctuation marks, with their offsets."""
    tokens = tokenize_text(text)
    return Sentence([word for word, _, _ in tokens], None, source, text, [(start, end) for _, start, end in tokens])


def from_texts(texts: Iterable[tuple[str, str]]) -> Iterator[Sentence | DataError]:
    """Split texts into words and punctuation marks; yields a `DataError` for an empty text.

    Args:
        texts: pairs of a source and a text.
    """
    for source, text in texts:
        sentence = from_text(text, source)
        if sentence.words:
            yield sentence
        else:
            yield DataError(f"{source}: the sentence is empty. Fill it in, or remove the row.").at(source)


def sentence_of_value(value: Any, source: str) -> Sentence:
    """Turn a JSON value into a sentence: a text, a list of words, or of lists: word, feature, ….

    Raises:
        DataError: the value is not a sentence.
    """
    if isinstance(value, str):
        (sentence,) = from_texts([(source, value)])
        if isinstance(sentence, DataError):
            raise sentence
        return sentence
    if not isinstance(value, list):
        raise DataError(f"{source}: {value!r:.60} is not a sentence. Expected a text or a list of words.")
    words = [tuple(word) if isinstance(word, list) else word for word in value]
    return as_sentence(words, source)


def _from_columns(row: Row, word_column: str, tag_column: str | None, feature_columns: Sequence[str]) -> Sentence:
    chosen = [("word_column", word_column), *(("feature_columns", column) for column in feature_columns)]
    if tag_column is not None:
        chosen.insert(1, ("tag_column", tag_column))
    keys = [_find_column(row, option, column) for option, column in chosen]
    columns = [_texts(row, key, option) for (option, _), key in zip(chosen, keys, strict=True)]
    _check_distinct(row, chosen, keys)
    for (option, _), column in zip(chosen, columns, strict=True):
        role = ROLES[option]
        if len(column) != len(columns[0]):
            raise DataError(
                f"{row.source}: {len(column)} {role}s for {len(columns[0])} words. Give one {role} per word."
            )
    words, *others = columns
    tags = None if tag_column is None else others.pop(0)
    if tags is not None and tag_column in ("upos", "xpos") and "_" in tags:
        raise DataError(
            f"{row.source_of(tags.index('_'))}: the word has no {tag_column} ('_'). "
            "Fill it in, or choose another tag_column."
        )
    return Sentence(words, tags, row.source, lines=row.lines, features=tuple(others))


def _check_distinct(row: Row, chosen: list[tuple[str, str]], keys: list[str]) -> None:
    """Refuse a column that is chosen twice, such as the tags as a feature."""
    for (first, key), (second, other) in combinations(zip(chosen, keys, strict=True), 2):
        if row.values[key] is row.values[other]:  # the index and the name of a CoNLL column share one list
            raise DataError(
                f"{row.source}: {first[0]} {first[1]!r} and {second[0]} {second[1]!r} are the same column. "
                "Choose different columns, or remove one."
            )


def _find_column(row: Row, option: str, column: str) -> str:
    """The key of a column that is chosen by name or by index."""
    if column in row.values:
        return column
    width = next(index for index in count() if str(index) not in row.values)  # a name may be decimal, too: 007
    names = [key for key in row.columns or row.values if not key.isdecimal()]
    named = f"{suggest(column, names)}Columns: {listed(names)}. " if names else ""
    if not width:
        raise DataError(f"{row.source}: no column {column!r}. {named}Set data.{option} to one of them.")
    if not is_index(column):
        named = named or "The first line of the file names no columns (as '# word pos ner' does). "
        raise DataError(
            f"{row.source}: no column {column!r}. {named}"
            f"Set data.{option} to a name, or to an index from 0 to {width - 1}."
        )
    index = int(column)
    if index < 0 and option == "feature_columns":
        raise DataError(
            f"{row.source}: feature_columns {column!r} counts from the end, where files without tags have other "
            f"columns. Count from the start: {index % width}."
        )
    if not -width <= index < width:
        raise DataError(
            f"{row.source}: no column {index}: tokens have {width} columns. "
            f"Use a file with that column, or set data.{option} to an index from 0 to {width - 1}."
        )
    return str(index % width)


def is_index(column: str) -> bool:
    """Whether a column is chosen by its index, from the start or from the end."""
    return column.removeprefix("-").isdecimal()


def _texts(row: Row, key: str, option: str) -> list[str]:
    """The values of a column as strings; tags and features may also be integers."""
    values = row.values[key]
    if not isinstance(values, list):
        raise DataError(f"{row.source}: {key} is {values!r}, expected a list with one item per token. Correct the row.")
    kinds = (str,) if option == "word_column" else (str, int)
    for token, value in enumerate(values):
        if type(value) not in kinds or value == "":
            raise DataError(
                f"{row.source_of(token)}: the {ROLES[option]} (column {key}) is {value!r}, expected a string. "
                "Fill it in, or remove the token."
            )
        if not row.lines:  # text files are valid Unicode, but JSON can contain half of a surrogate pair
            check_unicode(str(value), f"{row.source_of(token)}, column {key}")
    return [str(value) for value in values]


def _from_spans(row: Row, labelled: bool) -> Sentence:
    text, spans = row.values["text"], row.values.get("spans")
    if not isinstance(text, str):
        raise DataError(f"{row.source}: text is {text!r}, expected a string. Put it in quotes.")
    check_unicode(text, row.source)
    if not labelled:
        return from_text(text, row.source)
    if not isinstance(spans, list):
        raise DataError(f"{row.source}: spans is {spans!r}, expected a list. Write [] if the text has no spans.")
    labelled_spans = [_to_span(span, row.source) for span in spans]
    try:
        words, tags, offsets = spans_to_tags(text, labelled_spans)
    except DataError as error:
        raise DataError(f"{row.source}: {error}") from None
    return Sentence(words, tags, row.source, text, offsets)


def _to_span(value: Any, source: str) -> Span:
    parts = [value.get(key) for key in ("start", "end", "label")] if isinstance(value, dict) else value
    if not isinstance(parts, list) or [type(part) for part in parts] != [int, int, str]:
        raise DataError(
            f'{source}: {value!r} is not a span. Expected [start, end, label] or {{"start": …, "end": …, "label": …}}. '
            "Correct it, or remove it."
        )
    check_unicode(parts[2], f"{source}, span {value}")
    return parts[0], parts[1], parts[2]
