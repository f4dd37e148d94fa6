"""A tagger's tokens: words, or words with features beside them, as their parts of speech."""

from collections.abc import Sequence

from ostinato.errors import DataError

Token = str | tuple[str, ...]  # a word, or a word and its features


def words_of(sentence: Sequence[Token]) -> list[str]:
    """The words of a sentence."""
    return [token if isinstance(token, str) else token[0] for token in sentence]


def features_of(sentence: Sequence[Token], count: int, place: str) -> list[tuple[str, ...]]:
    """The features of each word of a sentence.

    Raises:
        DataError: a word has not `count` of them; names the place.
    """
    features = [() if isinstance(token, str) else token[1:] for token in sentence]
    for word, found in zip(sentence, map(len, features), strict=True):
        if found != count:
            raise DataError(
                f"{place}: {word!r} has {found} features beside the word, expected {count}, as in training. "
                "Give each word as many: in a file, name their columns in data.feature_columns; a text alone has none."
            )
    return features
