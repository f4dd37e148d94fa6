"""What a user hands to a tagger, as sentences."""

from collections.abc import Iterable, Sequence
from typing import Any

from ostinato.data.examples import Sentence
from ostinato.data.files import check_unicode
from ostinato.errors import DataError
from ostinato.tasks.tagging.data import check_tags
from ostinato.tasks.tagging.spans import tokenize_text


def as_sentences(X: Iterable[Any], name: str) -> list[Sentence]:
    """Sentences from lists of words, lists of (word, feature, ...) tuples, or strings, which are split into words.

    Raises:
        DataError: a sentence is something else, or empty; its words have different numbers of features.
    """
    if isinstance(X, str):
        raise DataError(f"X is the one string {X[:40]!r}: give a list of sentences, as [{X[:10]!r}].")
    return [each if isinstance(each, Sentence) else _as_sentence(each, f"{name} {row}") for row, each in enumerate(X)]


def _as_sentence(given: Any, source: str) -> Sentence:
    words = [word for word, _, _ in tokenize_text(given)] if isinstance(given, str) else list(given)
    if not words:
        raise DataError(f"{source}: the sentence is empty: there is nothing to tag. Leave it out.")
    tokens = [word if isinstance(word, tuple) else (word,) for word in words]
    for token, written in zip(tokens, words, strict=True):
        if not token or not all(isinstance(part, str) and part for part in token):
            raise DataError(
                f"{source}: {written!r} is not a word. "
                "Expected a list of non-empty strings, or of tuples of them: (word, feature, …)."
            )
        if len(token) != len(tokens[0]):
            raise DataError(f"{source}: {written!r} beside {words[0]!r}. Give each word as many features.")
        for part in token:
            check_unicode(part, source)
    only_words, *features = ([str(part) for part in parts] for parts in zip(*tokens, strict=True))
    return Sentence(only_words, None, source, features=tuple(features))


def labelled_sentences(
    X: Iterable[Any], y: Iterable[Sequence[str]], name: str, scheme: str | None = None
) -> list[Sentence]:
    """Sentences and their tags, as many as words, in the scheme where one is given.

    Raises:
        DataError: they differ in number, or a tag cannot be used; names the row.
    """
    sentences, tags = as_sentences(X, name), [list(each) for each in y]
    if len(sentences) != len(tags):
        raise DataError(
            f"X has {len(sentences)} sentences and y has {len(tags)} lists of tags: give one list per sentence."
        )
    for sentence, given in zip(sentences, tags, strict=True):
        if len(sentence.words) != len(given):
            raise DataError(
                f"{sentence.source}: {len(sentence.words)} words with {len(given)} tags. Give each word one tag."
            )
        for tag in given:
            if not isinstance(tag, str) or not tag:
                raise DataError(
                    f"{sentence.source}: {tag!r} is not a tag. Expected a non-empty string: "
                    "give names for numbers, as [names[i] for i in tags]."
                )
    labelled = [sentence._replace(tags=given) for sentence, given in zip(sentences, tags, strict=True)]
    if scheme is not None:
        check_tags(scheme, labelled)
    return labelled
