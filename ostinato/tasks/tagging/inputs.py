"""Convert a user's lists, tuples or strings to sentences."""

from collections.abc import Iterable, Sequence
from typing import Any

from ostinato.data.examples import Sentence
from ostinato.data.files import check_unicode
from ostinato.errors import DataError
from ostinato.tasks.tagging.spans import tokenize_text


def as_sentences(X: Iterable[Any], name: str) -> list[Sentence]:
    """Convert lists of words, lists of tuples (word, feature, …), or strings, which are split into words.

    Args:
        name: names a sentence in messages, followed by its row.

    Raises:
        DataError: a sentence has another type or is empty, or its words have different numbers of features.
    """
    if isinstance(X, str):
        raise DataError(
            f"X is one string, {X[:40]!r}. Expected a list of sentences. Pass a list, such as [{X[:10]!r}]."
        )
    return [each if isinstance(each, Sentence) else as_sentence(each, f"{name} {row}") for row, each in enumerate(X)]


def as_sentence(given: Any, source: str) -> Sentence:
    """Convert one sentence; see `as_sentences`."""
    words = [word for word, _, _ in tokenize_text(given)] if isinstance(given, str) else list(given)
    if not words:
        raise DataError(f"{source}: the sentence is empty. Expected at least one word. Remove the sentence.")
    tokens = [word if isinstance(word, tuple) else (word,) for word in words]
    for token, written in zip(tokens, words, strict=True):
        if not token or not all(isinstance(part, str) and part for part in token):
            raise DataError(
                f"{source}: {written!r} is not a word. "
                "Expected a list of non-empty strings, or of tuples of them: (word, feature, …)."
            )
        if len(token) != len(tokens[0]):
            raise DataError(
                f"{source}: {written!r} and {words[0]!r} have different numbers of features. Give all words the same "
                "number."
            )
        for part in token:
            check_unicode(part, source)
    only_words, *features = ([str(part) for part in parts] for parts in zip(*tokens, strict=True))
    return Sentence(only_words, None, source, features=tuple(features))


def labelled_sentences(X: Iterable[Any], y: Iterable[Sequence[str]], name: str) -> list[Sentence]:
    """Convert sentences and their tags, one per word.

    Args:
        name: names a sentence in messages, followed by its row.

    Raises:
        DataError: the numbers of words and tags differ, or a tag is not a string; names the row.
    """
    sentences, tags = as_sentences(X, name), [list(each) for each in y]
    if len(sentences) != len(tags):
        raise DataError(
            f"X has {len(sentences)} sentences, but y has {len(tags)} lists of tags. Pass one list per sentence."
        )
    for sentence, given in zip(sentences, tags, strict=True):
        if len(sentence.words) != len(given):
            raise DataError(
                f"{sentence.source}: {len(sentence.words)} words, but {len(given)} tags. Give each word one tag."
            )
        for tag in given:
            if not isinstance(tag, str) or not tag:
                raise DataError(
                    f"{sentence.source}: {tag!r} is not a tag. Expected a non-empty string. "
                    "Convert numbers to names, such as [names[i] for i in tags]."
                )
    return [sentence._replace(tags=given) for sentence, given in zip(sentences, tags, strict=True)]
