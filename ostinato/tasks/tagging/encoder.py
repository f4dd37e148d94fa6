"""Everything fitted on the training sentences that turns words into a tagger's input; it knows nothing of tags."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ostinato.data.examples import Sentence
from ostinato.data.ragged import Ragged
from ostinato.data.stored import StoredFields
from ostinato.data.vocabulary import UNKNOWN, Vocabulary
from ostinato.errors import DataError
from ostinato.tasks.tagging.sentences import Sentences

# The patterns of capitals and digits in a word; a pattern's number is its index here.
WORD_SHAPES = ("lower", "capital first", "all capitals", "mixed", "digits", "digits and letters", "other")

SHOWN_VALUES = 5


Tokens = Annotated[list[str], Field(min_length=1)]


class StoredEncoder(StoredFields):
    """What `SentenceEncoder.to_json` writes."""

    words: Tokens
    extra: list[str]
    characters: Tokens
    features: list[Tokens]
    lowercase: bool


@dataclass(frozen=True)
class SentenceEncoder:
    """Words, characters and features, as found in training.

    Args:
        words: the training words, and extra words that have a pretrained vector; lower-cased if `lowercase` is set.
        characters: those of the training words.
        features: the values of each feature; empty where words have no features.
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
        """Learn words, characters and features from the training split.

        Args:
            min_count, max_size: bound the vocabulary of words, as in `Vocabulary.fit`.

        Raises:
            DataError: sentences with different numbers of features.
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
        """The same encoder, which also knows those of `words` that it lacks; see `Vocabulary`."""
        return dataclasses.replace(self, words=self.words.with_extra(words))

    def encode(self, sentences: Sequence[Sentence]) -> Sentences:
        """Sentences as a tagger reads them; length 0 is let through.

        Raises:
            DataError: a sentence has not as many features as in training; names the place.
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
        """(n,) whether each word is in the vocabulary of the training split."""
        return np.array(
            [0 < self.words.id(word.lower() if self.lowercase else word) < len(self.words) for word in words],
            dtype=bool,
        )

    def _word_id(self, form: str) -> int:
        """A word's id. With extra pretrained vectors, the word is looked up as written, then in lower case."""
        found = self.words.id(form.lower() if self.lowercase else form)
        return self.words.id(form.lower()) if found == UNKNOWN and self.words.extra else found

    def _feature_ids(self, sentences: Sequence[Sentence], count: int) -> Tensor:
        """Of N = `count` tokens: (N, K)."""
        ids = np.empty((count, len(self.features)), np.int64)
        for column, values in enumerate(self.features):
            ids[:, column] = np.fromiter(
                (values.id(value) for sentence in sentences for value in sentence.features[column]), np.int64, count
            )
        return torch.from_numpy(ids)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values, from which `from_json` makes an equal encoder."""
        return {
            "words": list(self.words.tokens),
            "extra": list(self.words.extra),
            "characters": list(self.characters.tokens),
            "features": [list(values.tokens) for values in self.features],
            "lowercase": self.lowercase,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "SentenceEncoder":
        """The encoder that `to_json` described.

        Raises:
            RunError: a field is missing, unknown, or of a wrong type.
        """
        stored = StoredEncoder.read(fields, "encoder")
        return cls(
            Vocabulary(tuple(stored.words), tuple(stored.extra)),
            Vocabulary(tuple(stored.characters)),
            tuple(Vocabulary(tuple(values)) for values in stored.features),
            stored.lowercase,
        )


def word_shape(word: str) -> int:
    """The number of a word's pattern in `WORD_SHAPES`."""
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
    """The values of each feature; all sentences have as many as the first."""
    if not sentences:
        return ()
    count = len(sentences[0].features)
    check_features(sentences, count, f"of {sentences[0].source}")
    return tuple(
        Vocabulary.fit(Counter(value for sentence in sentences for value in sentence.features[column]))
        for column in range(count)
    )


def check_features(sentences: Sequence[Sentence], count: int, those: str) -> None:
    """Refuse sentences whose words do not have this many features.

    Args:
        those: whose words have them, as `in training`.

    Raises:
        DataError: names the row.
    """
    for sentence in sentences:
        found = len(sentence.features)
        if found != count:
            told, wanted = (f"{each or 'no'} feature{'' if each == 1 else 's'}" for each in (found, count))
            missing = "in Python as tuples (word, feature, …), in a file by data.feature_columns; a text alone has none"
            cure = missing if found < count else "leave the others away"
            raise DataError(
                f"{sentence.source}: {told} beside each word, and the words {those} have {wanted}. Give as many: "
                f"{cure}."
            )


def refuse_unseen_features(encoder: SentenceEncoder, sentences: Sequence[Sentence]) -> None:
    """Refuse a feature with several values here, none of them seen in training: it is probably the wrong column.

    Raises:
        DataError: names the first sentence's source.
    """
    for number, known in enumerate(encoder.features):
        held = (each.features[number] for each in sentences if number < len(each.features))
        values = list(dict.fromkeys(chain.from_iterable(held)))
        if len(values) > 1 and not any(known.id(value) for value in values):
            shown = ", ".join(values[:SHOWN_VALUES]) + (", …" if len(values) > SHOWN_VALUES else "")
            raise DataError(
                f"{sentences[0].source}: feature {number + 1} is {shown} here, and training saw none of these values. "
                "Name in data.feature_columns the columns of the training data, in the same order."
            )
