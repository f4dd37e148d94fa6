"""Everything fitted on the training sentences that turns words into a tagger's input, and tags into indices and back."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ostinato.data.examples import Sentence, tags_of
from ostinato.data.ragged import Ragged
from ostinato.data.schemes import OUTSIDE, conlleval_entities, convert, to_tags
from ostinato.data.sentences import Sentences
from ostinato.data.vocabulary import UNKNOWN, Vocabulary
from ostinato.errors import DataError, RunError

# What a word looks like, letters aside; a pattern's number is its place here.
CAPITALS = ("lower", "capital first", "all capitals", "mixed", "digits", "digits and letters", "other")
PREFIXES = {"iob1": "BI", "iob2": "BI", "bioes": "BIES"}
UNSEEN = -1  # the index of a tag that training does not have: no answer is right there


@dataclass(frozen=True)
class TagEncoder:
    """Words, characters and tags, as found in training.

    Args:
        words: the training words' vocabulary, and words with a vector beyond it; in lower case where `lowercase` is set.
        characters: those of the training words.
        features: the values of each feature beside the words; none where words stand alone.
        tags: in the order of their indices, in the scheme that the model learns.
        lowercase: whether words are looked up in lower case.
        scheme: how the tags that are given and answered mark entities: `iob1`, `iob2`, `bioes`; None: they mark none.
        target_scheme: the same of the tags that the model learns.
    """

    words: Vocabulary
    characters: Vocabulary
    features: tuple[Vocabulary, ...]
    tags: tuple[str, ...]
    lowercase: bool
    scheme: str | None
    target_scheme: str | None

    @classmethod
    def fit(
        cls,
        sentences: Sequence[Sentence],
        *,
        scheme: str | None,
        target_scheme: str | None = None,
        lowercase: bool = False,
        min_count: int = 1,
        max_size: int | None = None,
    ) -> "TagEncoder":
        """Learn words, characters, features and tags from the training split.

        Args:
            sentences: labelled.
            scheme: of their tags.
            target_scheme: that the model shall learn; None: the same.
            min_count, max_size: bound the vocabulary of words, as in `Vocabulary.fit`.

        Raises:
            DataError: tags that `scheme` does not allow; sentences with different numbers of features.
        """
        forms = Counter(word for sentence in sentences for word in sentence.words)
        words = Counter[str]()
        characters = Counter[str]()
        for form, count in forms.items():
            words[form.lower() if lowercase else form] += count
            characters.update(dict.fromkeys(form, count))
        target_scheme = None if scheme is None else target_scheme or scheme
        learnt = {tag for sentence in sentences for tag in _converted(tags_of(sentence), scheme, target_scheme)}
        if target_scheme is not None:  # a type met in one position can stand in any other
            learnt |= {prefix + tag[1:] for tag in learnt if tag != OUTSIDE for prefix in PREFIXES[target_scheme]}
        return cls(
            Vocabulary.fit(words, min_count, max_size),
            Vocabulary.fit(characters),
            _fit_features(sentences),
            tuple(sorted(learnt)),
            lowercase,
            scheme,
            target_scheme,
        )

    def with_beyond(self, words: Sequence[str]) -> "TagEncoder":
        """The same, and those of `words` known that it does not know yet; see `Vocabulary`."""
        return dataclasses.replace(self, words=self.words.with_extra(words))

    @property
    def num_labels(self) -> int:
        """C, the tags."""
        return len(self.tags)

    def encode(self, sentences: Sequence[Sentence]) -> Sentences:
        """Sentences as a tagger reads them; length 0 is let through.

        Raises:
            DataError: a sentence has not as many features as in training; names the place.
        """
        _check_features(sentences, len(self.features), "in training")
        lengths = torch.tensor([len(sentence.words) for sentence in sentences], dtype=torch.int64)
        numbers: dict[str, int] = {}
        forms = np.fromiter(
            (numbers.setdefault(word, len(numbers)) for sentence in sentences for word in sentence.words),
            np.int64,
            int(lengths.sum()),
        )
        distinct = list(numbers)
        ids = np.fromiter(map(self._word_id, distinct), np.int32, len(distinct))
        capitals = np.fromiter(map(capitals_of, distinct), np.int64, len(distinct))
        sizes = torch.tensor([len(form) for form in distinct], dtype=torch.int64)
        characters = np.fromiter(
            (self.characters.id(letter) for form in distinct for letter in form), np.int32, int(sizes.sum())
        )
        return Sentences(
            Ragged(torch.from_numpy(ids[forms]), lengths),
            torch.from_numpy(capitals[forms]),
            self._feature_ids(sentences, len(forms)),
            torch.from_numpy(forms),
            Ragged(torch.from_numpy(characters), sizes),
        )

    def encode_tags(self, sentences: Sequence[Sentence]) -> Tensor:
        """The indices of all tokens' tags, end to end, `UNSEEN` for those that training does not have: (N,) int64.

        Raises:
            DataError: tags that the scheme does not allow; names the place.
        """
        indices = []
        for sentence in sentences:
            try:
                learnt = _converted(tags_of(sentence), self.scheme, self.target_scheme)
            except DataError as error:
                raise DataError(f"{sentence.place}: {error}") from None
            indices += [self._tag_indices.get(tag, UNSEEN) for tag in learnt]
        return torch.tensor(indices, dtype=torch.int64)

    def decode(self, indices: np.ndarray, lengths: Sequence[int]) -> list[list[str]]:
        """Tags in the scheme of those that were given, from their indices (N,)."""
        names, done, start = self.tags, [], 0
        for length in lengths:
            tags = [names[index] for index in indices[start : start + length]]
            if (
                self.scheme != self.target_scheme
            ):  # where the model broke its scheme, entities are read as conlleval reads them
                tags = to_tags(conlleval_entities(tags), length, str(self.scheme))
            done.append(tags)
            start += length
        return done

    def knows(self, words: Sequence[str]) -> np.ndarray:
        """(n,) whether each word is in the vocabulary of the training split."""
        return np.array(
            [0 < self.words.id(word.lower() if self.lowercase else word) < len(self.words) for word in words],
            dtype=bool,
        )

    def _word_id(self, form: str) -> int:
        """A word's id; where words beyond the vocabulary are known by their vectors, it is found as these are: as it is, then in lower case."""
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

    @cached_property
    def _tag_indices(self) -> dict[str, int]:
        return {tag: index for index, tag in enumerate(self.tags)}

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values, from which `from_json` makes an equal encoder."""
        return {
            "words": list(self.words.tokens),
            "beyond": list(self.words.extra),
            "characters": list(self.characters.tokens),
            "features": [list(values.tokens) for values in self.features],
            "tags": list(self.tags),
            "lowercase": self.lowercase,
            "scheme": self.scheme,
            "target_scheme": self.target_scheme,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "TagEncoder":
        """The encoder that `to_json` described.

        Raises:
            RunError: a field is missing or unknown.
        """
        fields = {"features": [], **fields}  # models of before had none
        names = {*cls.__dataclass_fields__, "beyond"}
        if fields.keys() != names:
            raise RunError(
                f"encoder: found the fields {sorted(fields)}, expected {sorted(names)}. Save the model again with this version of Ostinato."
            )
        words = Vocabulary(tuple(fields["words"]), tuple(fields["beyond"]))
        characters, tags = Vocabulary(tuple(fields["characters"])), tuple(fields["tags"])
        features = tuple(Vocabulary(tuple(values)) for values in fields["features"])
        return cls(words, characters, features, tags, fields["lowercase"], fields["scheme"], fields["target_scheme"])


def capitals_of(word: str) -> int:
    """The number of a word's pattern in `CAPITALS`."""
    letters, digits = any(letter.isalpha() for letter in word), any(letter.isdigit() for letter in word)
    if digits:
        return CAPITALS.index("digits and letters" if letters else "digits")
    if not letters:
        return CAPITALS.index("other")
    if word.islower():
        return CAPITALS.index("lower")
    if word.isupper() and len(word) > 1:
        return CAPITALS.index("all capitals")
    return CAPITALS.index(
        "capital first" if word[0].isupper() and not any(letter.isupper() for letter in word[1:]) else "mixed"
    )


def _fit_features(sentences: Sequence[Sentence]) -> tuple[Vocabulary, ...]:
    """The values of each feature; all sentences have as many as the first."""
    if not sentences:
        return ()
    count = len(sentences[0].features)
    _check_features(sentences, count, f"of {sentences[0].place}")
    return tuple(
        Vocabulary.fit(Counter(value for sentence in sentences for value in sentence.features[column]))
        for column in range(count)
    )


def _check_features(sentences: Sequence[Sentence], count: int, those: str) -> None:
    for sentence in sentences:
        found = len(sentence.features)
        if found != count:
            told, wanted = (f"{each or 'no'} feature{'' if each == 1 else 's'}" for each in (found, count))
            missing = "in Python as tuples (word, feature, …), in a file by data.feature_columns; a text alone has none"
            cure = missing if found < count else "leave the others away"
            raise DataError(
                f"{sentence.place}: {told} beside each word, and the words {those} have {wanted}. Give as many: {cure}."
            )


def _converted(tags: Sequence[str], scheme: str | None, target: str | None) -> Sequence[str]:
    return tags if scheme is None or target is None or scheme == target else convert(tags, scheme, target)
