"""The input encoder of taggers: vocabularies of words, characters and features, fitted on the training sentences."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from pydantic import model_validator

from ostinato.data.examples import Sentence
from ostinato.data.ragged import Ragged
from ostinato.data.stored import Distinct, StoredFields, Tokens, first_repeated
from ostinato.data.vocabulary import Vocabulary
from ostinato.errors import DataError
from ostinato.tasks.tagging.encoding import SentenceEncoding, check_features
from ostinato.tasks.tagging.sentences import Sentences

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
class SentenceEncoder(SentenceEncoding):
    """A `SentenceEncoding` that can be fitted, saved and read, and that gives tensors."""

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
        found = self.arrays(sentences)
        words, characters = (
            Ragged(torch.from_numpy(values), torch.from_numpy(lengths))
            for values, lengths in ((found.words, found.lengths), (found.characters, found.character_lengths))
        )
        shapes, features, forms, letters = map(
            torch.from_numpy, (found.word_shapes, found.features, found.forms, found.letters)
        )
        return Sentences(words, shapes, features, forms, characters, letters)

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
