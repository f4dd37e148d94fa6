"""Sentences as several encoders read them, side by side: what an ensemble of taggers with different encoders reads."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ostinato.data.examples import Sentence
from ostinato.tasks.tagging.encoder import SentenceEncoder
from ostinato.tasks.tagging.sentences import Sentences


@dataclass(frozen=True, eq=False)
class JoinedSentences(Sentences):
    """The same sentences, encoded in several ways. Its other fields are those of the first.

    Args:
        parts: by each encoder.
    """

    parts: tuple[Sentences, ...] = ()

    @classmethod
    def of(cls, parts: Sequence[Sentences]) -> "JoinedSentences":
        """Join encodings of the same sentences."""
        return cls(**_fields_of(parts[0], Sentences), parts=tuple(parts))

    def select(self, indices: Tensor) -> "JoinedSentences":
        return JoinedSentences.of([part.select(indices) for part in self.parts])

    def to(self, device: torch.device | str) -> "JoinedSentences":
        return JoinedSentences.of([part.to(device) for part in self.parts])

    def digest(self) -> str:
        return hashlib.sha256("".join(part.digest() for part in self.parts).encode()).hexdigest()


@dataclass(frozen=True)
class JoinedSentenceEncoder(SentenceEncoder):
    """Several encoders at once. Its other fields are those of the first, which says which words are unknown.

    Args:
        parts: the encoders, all of them different, with the same number of features.
    """

    parts: tuple[SentenceEncoder, ...] = ()

    @classmethod
    def of(cls, parts: Sequence[SentenceEncoder]) -> "JoinedSentenceEncoder":
        """Join encoders."""
        return cls(**_fields_of(parts[0], SentenceEncoder), parts=tuple(parts))

    def encode(self, sentences: Sequence[Sentence]) -> JoinedSentences:
        return JoinedSentences.of([part.encode(sentences) for part in self.parts])

    def to_json(self) -> dict[str, Any]:
        """All parts as JSON values."""
        return {"parts": [part.to_json() for part in self.parts]}


def _fields_of(instance: Any, kind: type) -> dict[str, Any]:
    return {field.name: getattr(instance, field.name) for field in dataclasses.fields(kind)}
