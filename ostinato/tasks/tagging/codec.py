"""Tags as indices, in the scheme that the model learns, and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ostinato.data.examples import Sentence, tags_of
from ostinato.data.stored import StoredFields
from ostinato.errors import DataError
from ostinato.tasks.tagging.config import SchemeName
from ostinato.tasks.tagging.schemes import OUTSIDE, conlleval_entities, convert, to_tags

PREFIXES = {"iob1": "BI", "iob2": "BI", "bioes": "BIES"}
UNSEEN = -1  # the index of a tag that training does not have: no answer is right there


class StoredCodec(StoredFields):
    """What `TagCodec.to_json` writes."""

    tags: list[str] = Field(min_length=1)
    scheme: SchemeName | None
    target_scheme: SchemeName | None


@dataclass(frozen=True)
class TagCodec:
    """The tags of the training split.

    Args:
        tags: in the order of their indices, in the scheme that the model learns.
        scheme: how given and predicted tags mark entities: `iob1`, `iob2`, `bioes`; None: they mark none.
        target_scheme: the same of the tags that the model learns.
    """

    tags: tuple[str, ...]
    scheme: str | None
    target_scheme: str | None

    @classmethod
    def fit(cls, sentences: Sequence[Sentence], scheme: str | None, target_scheme: str | None = None) -> "TagCodec":
        """The tags of labelled sentences.

        Args:
            scheme: of their tags.
            target_scheme: for the model to learn; None: the same.

        Raises:
            DataError: tags that `scheme` does not allow.
        """
        target_scheme = None if scheme is None else target_scheme or scheme
        learnt = {tag for sentence in sentences for tag in _converted(tags_of(sentence), scheme, target_scheme)}
        if target_scheme is not None:  # a type seen in one position can occur in any other
            learnt |= {prefix + tag[1:] for tag in learnt if tag != OUTSIDE for prefix in PREFIXES[target_scheme]}
        return cls(tuple(sorted(learnt)), scheme, target_scheme)

    @property
    def names(self) -> tuple[str, ...]:
        """What each output of the network is called."""
        return self.tags

    def encode(self, sentences: Sequence[Sentence]) -> Tensor:
        """The indices of all tokens' tags, end to end, `UNSEEN` for those that training does not have: (N,) int64.

        Raises:
            DataError: tags that the scheme does not allow; names the row.
        """
        indices = []
        for sentence in sentences:
            try:
                learnt = _converted(tags_of(sentence), self.scheme, self.target_scheme)
            except DataError as error:
                raise DataError(f"{sentence.source}: {error}") from None
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

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return {"tags": list(self.tags), "scheme": self.scheme, "target_scheme": self.target_scheme}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "TagCodec":
        """The codec that `to_json` described.

        Raises:
            RunError: a field is missing, unknown, or of a wrong type.
        """
        stored = StoredCodec.read(fields, "codec")
        return cls(tuple(stored.tags), stored.scheme, stored.target_scheme)

    @cached_property
    def _tag_indices(self) -> dict[str, int]:
        return {tag: index for index, tag in enumerate(self.tags)}


def _converted(tags: Sequence[str], scheme: str | None, target: str | None) -> Sequence[str]:
    return tags if scheme is None or target is None or scheme == target else convert(tags, scheme, target)
