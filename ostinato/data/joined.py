"""Sequences as several encoders read them, side by side: what an ensemble of models with different tokens reads."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ostinato.data.encoder import SequenceEncoder
from ostinato.data.ragged import Ragged

if TYPE_CHECKING:
    from ostinato.data.examples import Sequence as AnySequence


@dataclass(frozen=True)
class JoinedEncoder(SequenceEncoder):
    """Several encoders at once. Its other fields are those of the first, which also cuts and shows tokens.

    Args:
        parts: the encoders, all of them different. Either all or none read numeric series, of the same channels.
    """

    parts: tuple[SequenceEncoder, ...] = ()

    @classmethod
    def of(cls, parts: Sequence[SequenceEncoder]) -> "JoinedEncoder":
        """Join encoders."""
        fields = {field.name: getattr(parts[0], field.name) for field in dataclasses.fields(parts[0])}
        return cls(**fields, parts=tuple(parts))

    def encode(self, sequences: Iterable["AnySequence"], sources: Sequence[str] | None = None) -> Ragged:
        """Encode by every part; a sequence that is empty to one of them gets length 0.

        The steps of a sequence are those of the first part, then those of the second, and so on. `values` are
        (N, 2) int32: part and token id, or (N, 1 + channels) float32: part and step.

        Raises:
            DataError: as `SequenceEncoder.encode`.
        """
        given = list(sequences)
        encoded = [part.encode(given, sources) for part in self.parts]
        lengths = torch.stack([each.lengths for each in encoded], dim=1)  # (B, P)
        is_complete = (lengths > 0).all(dim=1, keepdim=True)
        marked = [_marked(each.values, part) for part, each in enumerate(encoded)]
        all_parts = Ragged(torch.cat(marked), torch.cat([each.lengths for each in encoded]))  # P·B sequences
        B, P = lengths.shape
        by_row = (torch.arange(P)[None, :] * B + torch.arange(B)[:, None])[is_complete.squeeze(1)]
        values = all_parts.select(by_row.flatten()).values
        return Ragged(values, (lengths * is_complete).sum(dim=1), max(each.truncated for each in encoded))

    def ids(self, sequences: Ragged) -> torch.Tensor:
        return sequences.values[:, 1]

    def to_json(self) -> dict[str, Any]:
        """All parts as JSON values."""
        return {"parts": [part.to_json() for part in self.parts]}


def _marked(values: torch.Tensor, part: int) -> torch.Tensor:
    """Put the part's index before each step. (N,) or (N, channels) -> (N, 2) or (N, 1 + channels)."""
    steps = values if values.dim() > 1 else values.unsqueeze(1)
    return torch.cat([steps.new_full((len(steps), 1), part), steps], dim=1)
