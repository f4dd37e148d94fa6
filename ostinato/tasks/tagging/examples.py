"""Tagged sentences, before and after encoding."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ostinato.data.examples import Sentence, tags_of
from ostinato.tasks.tagging.codec import TagCodec
from ostinato.tasks.tagging.encoder import SentenceEncoder
from ostinato.tasks.tagging.repair import bring_into_scheme
from ostinato.tasks.tagging.sentences import Sentences


@dataclass(frozen=True)
class TaggedRows:
    """Labelled sentences before encoding.

    Args:
        repair: whether `in_scheme` repairs ill-formed tags instead of refusing them.
    """

    sentences: Sequence[Sentence]
    repair: bool = False

    def in_scheme(self, scheme: str | None) -> "TaggedRows":
        """The same rows with tags that follow the scheme; None: tags do not mark entities.

        Raises:
            DataError: the scheme does not allow a tag, and `repair` is False or cannot help; names the lines.
        """
        tagged = bring_into_scheme(scheme or "plain", self.sentences, repair=self.repair)
        return TaggedRows(tagged.sentences)

    def select(self, indices: Iterable[int]) -> "TaggedRows":
        """The rows at `indices`, in that order."""
        return TaggedRows([self.sentences[index] for index in indices], self.repair)

    @property
    def sources(self) -> list[str]:
        """The source of each sentence."""
        return [sentence.source for sentence in self.sentences]

    @property
    def tags(self) -> list[list[str]]:
        """The tags of each sentence."""
        return [tags_of(sentence) for sentence in self.sentences]

    def __len__(self) -> int:
        return len(self.sentences)

    def __iter__(self) -> Iterator[Sentence]:
        return iter(self.sentences)


class Tagged(NamedTuple):
    """Encoded sentences with N tokens.

    Args:
        targets: (N,) the tag index of each token.
        tags: the tags of each sentence in the scheme of the data, for metrics. Empty in batches.
        offsets: (N, C) what replaces the scores of the network's wide part in the loss; None: nothing.
    """

    sentences: Sentences
    targets: Tensor
    tags: list[list[str]]
    offsets: Tensor | None = None

    @property
    def lengths(self) -> Tensor:
        return self.sentences.lengths

    def at(self, indices: Tensor, device: torch.device | str = "cpu") -> "Tagged":
        tokens = self.sentences.token_indices(indices)
        offsets = None if self.offsets is None else self.offsets[tokens].to(device)
        return Tagged(self.sentences.select(indices).to(device), self.targets[tokens].to(device), [], offsets)

    def digest(self) -> str:
        return hashlib.sha256(self.sentences.digest().encode() + self.targets.numpy().tobytes()).hexdigest()


def encode(encoder: SentenceEncoder, codec: TagCodec, rows: TaggedRows) -> Tagged:
    """Encode labelled sentences."""
    return Tagged(encoder.encode(rows.sentences), codec.encode(rows.sentences), rows.tags)
