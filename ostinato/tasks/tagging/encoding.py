"""Turn sentences into ids with fitted vocabularies; needs NumPy alone, not PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, NamedTuple

import numpy as np

from ostinato.data.examples import Sentence
from ostinato.data.vocabulary import UNKNOWN, Vocabulary
from ostinato.errors import DataError

LETTER_KINDS = 4  # see `letter_code`
# The patterns of capitals and digits in a word; the id of a pattern is its index.
WORD_SHAPES = ("lower", "capital first", "all capitals", "mixed", "digits", "digits and letters", "other")


class EncodedSentences(NamedTuple):
    """B sentences laid end to end, N tokens in all.

    Args:
        words: (N,) int32 word ids.
        lengths: (B,) int64, tokens of each sentence.
        word_shapes: (N,) int64, indices in `WORD_SHAPES`.
        features: (N, K) int64 ids of the K features of each token.
        forms: (N,) int64, the number of each token's form, its exact spelling.
        characters: int32 character ids of F distinct forms, end to end.
        character_lengths: (F,) int64.
        letters: int32 codes of the characters of the same forms, known or not; see `letter_code`.
    """

    words: np.ndarray
    lengths: np.ndarray
    word_shapes: np.ndarray
    features: np.ndarray
    forms: np.ndarray
    characters: np.ndarray
    character_lengths: np.ndarray
    letters: np.ndarray


@dataclass(frozen=True)
class SentenceEncoding:
    """The vocabularies of the training sentences.

    Args:
        words: the training words, and extra words with a pretrained vector; in lower case if `lowercase` is set.
        characters: the characters of the training words.
        features: the values of each feature; empty if words have no features.
        lowercase: whether words are looked up in lower case.
    """

    tokenizer: ClassVar[str] = "words"  # what taggers read

    words: Vocabulary
    characters: Vocabulary
    features: tuple[Vocabulary, ...]
    lowercase: bool

    def arrays(self, sentences: Sequence[Sentence]) -> EncodedSentences:
        """Encode sentences; empty sentences are allowed.

        Raises:
            DataError: the number of features of a sentence differs from training; names the row.
        """
        check_features(sentences, len(self.features), "in training")
        lengths = np.fromiter((len(sentence.words) for sentence in sentences), np.int64, len(sentences))
        numbers: dict[str, int] = {}
        forms = np.fromiter(
            (numbers.setdefault(word, len(numbers)) for sentence in sentences for word in sentence.words),
            np.int64,
            int(lengths.sum()),
        )
        distinct = list(numbers)
        ids = np.fromiter(map(self._word_id, distinct), np.int32, len(distinct))
        shapes = np.fromiter(map(word_shape, distinct), np.int64, len(distinct))
        sizes = np.fromiter(map(len, distinct), np.int64, len(distinct))
        characters = np.fromiter(
            (self.characters.id(letter) for form in distinct for letter in form), np.int32, int(sizes.sum())
        )
        letters = np.fromiter((letter_code(letter) for form in distinct for letter in form), np.int32, len(characters))
        features = self._feature_ids(sentences, len(forms))
        return EncodedSentences(ids[forms], lengths, shapes[forms], features, forms, characters, sizes, letters)

    def knows(self, words: Sequence[str]) -> np.ndarray:
        """Whether each of n words is in the vocabulary of the training split, (n,)."""
        return np.array(
            [0 < self.words.id(word.lower() if self.lowercase else word) < len(self.words) for word in words],
            dtype=bool,
        )

    def _word_id(self, form: str) -> int:
        """The id of a word. With extra pretrained vectors, an unknown word is looked up again in lower case."""
        found = self.words.id(form.lower() if self.lowercase else form)
        return self.words.id(form.lower()) if found == UNKNOWN and self.words.extra else found

    def _feature_ids(self, sentences: Sequence[Sentence], count: int) -> np.ndarray:
        """The ids of the K features of N = `count` tokens, (N, K)."""
        ids = np.empty((count, len(self.features)), np.int64)
        for column, values in enumerate(self.features):
            ids[:, column] = np.fromiter(
                (values.id(value) for sentence in sentences for value in sentence.features[column]), np.int64, count
            )
        return ids


@cache
def letter_code(letter: str) -> int:
    """The code point of a letter in lower case, and its kind: upper case, lower case or caseless, digit, other."""
    kind = 0 if letter.isupper() else 1 if letter.isalpha() else 2 if letter.isdigit() else 3
    lower = letter.lower()
    return LETTER_KINDS * ord(lower if len(lower) == 1 else letter) + kind


def word_shape(word: str) -> int:
    """The index of a word's pattern in `WORD_SHAPES`."""
    letters, digits = any(letter.isalpha() for letter in word), any(letter.isdigit() for letter in word)
    if digits:
        return WORD_SHAPES.index("digits and letters" if letters else "digits")
    if not letters:
        return WORD_SHAPES.index("other")
    if word.islower():
        return WORD_SHAPES.index("lower")
    if word.isupper() and len(word) > 1:
        return WORD_SHAPES.index("all capitals")
    return WORD_SHAPES.index(
        "capital first" if word[0].isupper() and not any(letter.isupper() for letter in word[1:]) else "mixed"
    )


def check_features(sentences: Sequence[Sentence], count: int, where: str) -> None:
    """Refuse sentences whose words do not have `count` features.

    Args:
        where: the words that have this number of features, such as `in training`.

    Raises:
        DataError: names the row.
    """
    for sentence in sentences:
        found = len(sentence.features)
        if found != count:
            actual, expected = (f"{each or 'no'} feature{'' if each == 1 else 's'}" for each in (found, count))
            remedy = (
                "Pass tuples (word, feature, …) in Python, or set data.feature_columns for a file. Plain texts have no "
                "features."
                if found < count
                else "Remove the other features."
            )
            raise DataError(
                f"{sentence.source}: each word has {actual}, but the words {where} have {expected}. {remedy}"
            )
