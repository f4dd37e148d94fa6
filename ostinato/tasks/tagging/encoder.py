"""The input encoder of taggers: vocabularies of words, characters and features, fitted on the training sentences."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from pydantic import model_validator
from torch import Tensor

from ostinato.data.examples import Sentence
from ostinato.data.ragged import Ragged
from ostinato.data.stored import Distinct, StoredFields, Tokens, first_repeated
from ostinato.data.vocabulary import UNKNOWN, Vocabulary
from ostinato.errors import DataError
from ostinato.tasks.tagging.sentences import Sentences

# The patterns of capitals and digits in a word; the id of a pattern is its index.
WORD_SHAPES = ("lower", "capital first", "all capitals", "mixed", "digits", "digits and letters", "other")

SHOWN_VALUES = 5


class StoredEncoder(StoredFields):
    """The fields that `SentenceEncoder.to_json` writes."""

    words: Tokens
    extra: Distinct
    characters: Tokens
    features: list[Tokens]
    lowercase: bool

    @model_validator(mode="after")
    def _knows_each_word_once(self) -> "StoredEncoder":
        twice = first_repeated([*self.words, *self.extra])
        if twice is not None:
            raise ValueError(f"the word {twice!r} occurs in both words and extra")
        return self


@dataclass(frozen=True)
class SentenceEncoder:
    """The vocabularies of the training sentences.

    Args:
        words: the training words, and extra words with a pretrained vector; in lower case if `lowercase` is set.
        characters: the characters of the training words.
        features: the values of each feature; empty if words have no features.
        lowercase: whether words are looked up in lower case.
    """

    words: Vocabulary
    characters: Vocabulary
    features: tuple[Vocabulary, ...]
    lowercase: bool

    @classmethod
    def fit(
        cls,
        sentences: Sequence[Sentence],
        *,
        lowercase: bool = False,
        min_count: int = 1,
        max_size: int | None = None,
    ) -> "SentenceEncoder":
        """Fit the vocabularies to the training split.

        Args:
            min_count, max_size: bound the vocabulary of words, as in `Vocabulary.fit`.

        Raises:
            DataError: sentences have different numbers of features.
        """
        forms = Counter(word for sentence in sentences for word in sentence.words)
        words = Counter[str]()
        characters = Counter[str]()
        for form, count in forms.items():
            words[form.lower() if lowercase else form] += count
            characters.update(dict.fromkeys(form, count))
        vocabulary = Vocabulary.fit(words, min_count, max_size)
        return cls(vocabulary, Vocabulary.fit(characters), _fit_features(sentences), lowercase)

    def with_extra(self, words: Sequence[str]) -> "SentenceEncoder":
        """Copy the encoder and add the missing ones of `words` to its vocabulary; see `Vocabulary`."""
        return dataclasses.replace(self, words=self.words.with_extra(words))

    def encode(self, sentences: Sequence[Sentence]) -> Sentences:
        """Encode sentences; empty sentences are allowed.

        Raises:
            DataError: the number of features of a sentence differs from training; names the row.
        """
        check_features(sentences, len(self.features), "in training")
        lengths = torch.tensor([len(sentence.words) for sentence in sentences], dtype=torch.int64)
        numbers: dict[str, int] = {}
        forms = np.fromiter(
            (numbers.setdefault(word, len(numbers)) for sentence in sentences for word in sentence.words),
            np.int64,
            int(lengths.sum()),
        )
        distinct = list(numbers)
        ids = np.fromiter(map(self._word_id, distinct), np.int32, len(distinct))
        shapes = np.fromiter(map(word_shape, distinct), np.int64, len(distinct))
        sizes = torch.tensor([len(form) for form in distinct], dtype=torch.int64)
        characters = np.fromiter(
            (self.characters.id(letter) for form in distinct for letter in form), np.int32, int(sizes.sum())
        )
        return Sentences(
            Ragged(torch.from_numpy(ids[forms]), lengths),
            torch.from_numpy(shapes[forms]),
            self._feature_ids(sentences, len(forms)),
            torch.from_numpy(forms),
            Ragged(torch.from_numpy(characters), sizes),
        )

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

    def _feature_ids(self, sentences: Sequence[Sentence], count: int) -> Tensor:
        """The ids of the K features of N = `count` tokens, (N, K)."""
        ids = np.empty((count, len(self.features)), np.int64)
        for column, values in enumerate(self.features):
            ids[:, column] = np.fromiter(
                (values.id(value) for sentence in sentences for value in sentence.features[column]), np.int64, count
            )
        return torch.from_numpy(ids)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values, for `from_json`."""
        return {
            "words": list(self.words.tokens),
            "extra": list(self.words.extra),
            "characters": list(self.characters.tokens),
            "features": [list(values.tokens) for values in self.features],
            "lowercase": self.lowercase,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "SentenceEncoder":
        """Rebuild an encoder from its `to_json`.

        Raises:
            RunError: a field is missing, unknown, or of the wrong type.
        """
        stored = StoredEncoder.read(fields, "encoder")
        return cls(
            Vocabulary(tuple(stored.words), tuple(stored.extra)),
            Vocabulary(tuple(stored.characters)),
            tuple(Vocabulary(tuple(values)) for values in stored.features),
            stored.lowercase,
        )


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


def _fit_features(sentences: Sequence[Sentence]) -> tuple[Vocabulary, ...]:
    """Fit one vocabulary per feature; all sentences must have the same number of features."""
    if not sentences:
        return ()
    count = len(sentences[0].features)
    check_features(sentences, count, f"of {sentences[0].source}")
    return tuple(
        Vocabulary.fit(Counter(value for sentence in sentences for value in sentence.features[column]))
        for column in range(count)
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


def refuse_unseen_features(encoder: SentenceEncoder, sentences: Sequence[Sentence]) -> None:
    """Refuse a feature with several values if none of them occurs in training: it is probably the wrong column.

    Raises:
        DataError: names the source of the first sentence.
    """
    for number, known in enumerate(encoder.features):
        columns = (each.features[number] for each in sentences if number < len(each.features))
        values = list(dict.fromkeys(chain.from_iterable(columns)))
        if len(values) > 1 and not any(known.id(value) for value in values):
            shown = ", ".join(values[:SHOWN_VALUES]) + (", …" if len(values) > SHOWN_VALUES else "")
            raise DataError(
                f"{sentences[0].source}: feature {number + 1} is {shown}, but none of these values occurs in training. "
                "Set data.feature_columns to the columns of the training data, in the same order."
            )
