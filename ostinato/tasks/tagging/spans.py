"""Convert texts with labelled spans of characters to tagged tokens, and back."""

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import groupby

from ostinato.errors import DataError
from ostinato.tasks.tagging.schemes import Entity, entities, to_tags

Token = tuple[str, int, int]  # text, start, end: the characters start ≤ c < end, counted from 0
Span = tuple[int, int, str]  # start, end, label: the characters start ≤ c < end, counted from 0

JOINERS = "_\u200c\u200d"  # underscore; the zero-width joiners of Persian and of Indian scripts


def tokenize_text(text: str) -> list[Token]:
    """Split a text into words (runs of letters, digits, marks and joiners) and single other characters.

    Every character except white space belongs to exactly one token.

    >>> tokenize_text("Don't!")
    [('Don', 0, 3), ("'", 3, 4), ('t', 4, 5), ('!', 5, 6)]
    """
    tokens: list[Token] = []
    for is_word, group in groupby(enumerate(text), key=lambda numbered: in_word(numbered[1])):
        characters = list(group)
        if is_word:
            start, end = characters[0][0], characters[-1][0] + 1
            tokens.append((text[start:end], start, end))
        else:
            tokens.extend((character, c, c + 1) for c, character in characters if not character.isspace())
    return tokens


def spans_to_tags(
    text: str, spans: Iterable[Span], scheme: str = "iob2"
) -> tuple[list[str], list[str], list[tuple[int, int]]]:
    """Convert the spans of a text to tags; white space at the ends of a span is ignored.

    Returns:
        The words of the text, their tags, and their offsets.

    Raises:
        DataError: a span lies outside the text, contains no token, cuts through one, overlaps another, or has no label.
        ConfigError: the scheme is unknown.
    """
    tokens = tokenize_text(text)
    found: list[Entity] = []
    last: Span | None = None
    for span in sorted(spans, key=lambda span: span[:2]):
        entity = _to_entity(text, tokens, span)
        if last is not None and found[-1].end > entity.start:
            raise DataError(
                f"{_show(text, span)} overlaps {_show(text, last)}. Expected at most one span per token. Remove one of "
                "the two."
            )
        found.append(entity)
        last = span
    return (
        [word for word, _, _ in tokens],
        to_tags(found, len(tokens), scheme),
        [(start, end) for _, start, end in tokens],
    )


def tags_to_spans(
    words: Sequence[str], tags: Sequence[str], offsets: Sequence[tuple[int, int]], scheme: str
) -> list[Span]:
    """Convert tags to the spans of their well-formed entities, sorted by start.

    Raises:
        DataError: words, tags and offsets differ in number, or a tag does not belong to the scheme.
        ConfigError: the scheme is unknown.
    """
    if not len(words) == len(tags) == len(offsets):
        raise DataError(
            f"{len(words)} words, {len(tags)} tags and {len(offsets)} offsets. Give one tag and one offset per word."
        )
    return [(offsets[entity.start][0], offsets[entity.end - 1][1], entity.type) for entity in entities(tags, scheme)]


def in_word(character: str) -> bool:
    """Whether a character belongs to a word, rather than being a token of its own or white space."""
    return character.isalnum() or character in JOINERS or unicodedata.category(character).startswith("M")


def _to_entity(text: str, tokens: list[Token], span: Span) -> Entity:
    start, end, label = span
    if not 0 <= start < end <= len(text):
        raise DataError(
            f"span {start} to {end} ({label}) does not fit a text of {len(text)} characters. "
            f"Expected 0 ≤ start < end ≤ {len(text)}. Correct the span."
        )
    if not label:
        raise DataError(f"{_show(text, span)} has no label. Add one, or remove the span.")
    first = bisect_right(tokens, start, key=lambda token: token[2])  # the first token that ends after the span starts
    stop = bisect_left(tokens, end, key=lambda token: token[1])
    if first == stop:
        raise DataError(f"{_show(text, span)} contains only white space. Move its ends to a word, or remove it.")
    for word, token_start, token_end in (tokens[first], tokens[stop - 1]):
        if token_start < start or end < token_end:
            raise DataError(
                f"{_show(text, span)} cuts through the token {word!r} ({token_start} to {token_end}). "
                "Move its ends to token boundaries."
            )
    return Entity(label, first, stop)


def _show(text: str, span: Span) -> str:
    start, end, label = span
    return f"span {start} to {end} ({label}, {text[start:end]!r})"
