"""Encode tags as indices, in the scheme that the model learns, and decode predictions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from ostinato.data.examples import Sentence, tags_of
from ostinato.data.files import check_unicode
from ostinato.data.stored import Distinct, StoredFields
from ostinato.errors import DataError
from ostinato.tasks.tagging.config import SchemeName
from ostinato.tasks.tagging.decoding import decode
from ostinato.tasks.tagging.schemes import OUTSIDE, SCHEMES, convert, refuse_other_tags

UNSEEN = -1  # the index of a tag that does not occur in training, so every prediction for it is wrong


class StoredCodec(StoredFields):
    """The fields that `TagCodec.to_json` writes."""

    tags: Annotated[Distinct, Field(min_length=1)]
    scheme: SchemeName | None
    target_scheme: SchemeName | None

    @model_validator(mode="after")
    def _of_the_scheme(self) -> "StoredCodec":
        if (self.scheme is None) != (self.target_scheme is None):
            raise ValueError(f"scheme {self.scheme} does not fit target_scheme {self.target_scheme}")
        if self.target_scheme is not None:
            try:
                refuse_other_tags(self.tags, self.target_scheme)
            except DataError as error:
                raise ValueError(f"tags: {str(error).rstrip('.')}") from None
            missing = with_all_prefixes(self.tags, self.target_scheme) - set(self.tags)
            if missing:
                raise ValueError(f"tags: {min(missing)!r} is missing")
        return self


@dataclass(frozen=True)
class TagCodec:
    """The tags of the training split.

    Args:
        tags: in the order of their indices, in `target_scheme`.
        scheme: the scheme of the data and of predictions, one of `SCHEMES`; None: tags do not mark entities.
        target_scheme: the scheme that the model learns; None if `scheme` is None.
    """

    tags: tuple[str, ...]
    scheme: str | None
    target_scheme: str | None

    @classmethod
    def fit(cls, sentences: Sequence[Sentence], scheme: str | None, target_scheme: str | None = None) -> "TagCodec":
        """Collect the tags of labelled sentences.

        Args:
            scheme: the scheme of the sentences' tags.
            target_scheme: the scheme that the model learns; None: `scheme`.

        Raises:
            DataError: `scheme` does not allow the tags.
        """
        target_scheme = None if scheme is None else target_scheme or scheme
        found = {tag for sentence in sentences for tag in _converted(tags_of(sentence), scheme, target_scheme)}
        for tag in found:
            check_unicode(tag, f"tag {tag!r}")
        if target_scheme is not None:  # a type that was seen with one prefix can occur with any other
            found = with_all_prefixes(found, target_scheme)
        return cls(tuple(sorted(found)), scheme, target_scheme)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each output of the network."""
        return self.tags

    def encode(self, sentences: Sequence[Sentence]) -> Tensor:
        """The tag indices of all tokens, end to end, (N,) int64; `UNSEEN` for tags that do not occur in training.

        Raises:
            DataError: `scheme` does not allow the tags; names the row.
        """
        indices = []
        for sentence in sentences:
            try:
                tags = _converted(tags_of(sentence), self.scheme, self.target_scheme)
            except DataError as error:
                raise DataError(f"{sentence.source}: {error}") from None
            indices += [self._tag_indices.get(tag, UNSEEN) for tag in tags]
        return torch.tensor(indices, dtype=torch.int64)

    def decode(self, indices: np.ndarray, lengths: Sequence[int]) -> list[list[str]]:
        """Decode tag indices, (N,), to the tags of each sentence, in `scheme`.

        Args:
            lengths: number of tokens of each sentence; their sum is N.
        """
        decoded, start = [], 0
        for length in lengths:
            tags = [self.tags[index] for index in indices[start : start + length]]
            decoded.append(decode(tags, self.scheme, self.target_scheme))
            start += length
        return decoded

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return {"tags": list(self.tags), "scheme": self.scheme, "target_scheme": self.target_scheme}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "TagCodec":
        """Rebuild a codec from its `to_json`.

        Raises:
            RunError: a field is missing, unknown, or of the wrong type.
        """
        stored = StoredCodec.read(fields, "codec")
        return cls(tuple(stored.tags), stored.scheme, stored.target_scheme)

    @cached_property
    def _tag_indices(self) -> dict[str, int]:
        return {tag: index for index, tag in enumerate(self.tags)}


def with_all_prefixes(tags: Iterable[str], scheme: str) -> set[str]:
    """The tags, and those of the same types with the scheme's other prefixes."""
    return {
        each
        for tag in tags
        for each in ([tag] if tag == OUTSIDE else [prefix + tag[1:] for prefix in SCHEMES[scheme].prefixes])
    }


def _converted(tags: Sequence[str], scheme: str | None, target: str | None) -> Sequence[str]:
    return tags if scheme is None or target is None or scheme == target else convert(tags, scheme, target)
