"""Sentences as a tagger reads them: each token's word, word shape and characters, without padding."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ostinato.data.ragged import Ragged, spans


@dataclass(frozen=True, eq=False)
class Sentences:
    """B sentences laid end to end, N tokens in all.

    Args:
        words: (N,) int32 ids of words, and the sentences' lengths.
        shapes: (N,) int64, the pattern of capitals and digits of each token.
        features: (N, K) int64 ids of the K features of each token.
        forms: (N,) int64, the place in `characters` of each token's form: its word as it is written.
        characters: int32 ids of the characters of F distinct forms.
    """

    words: Ragged
    shapes: Tensor
    features: Tensor
    forms: Tensor
    characters: Ragged

    def __len__(self) -> int:
        return len(self.words)

    @property
    def lengths(self) -> Tensor:
        """(B,) tokens of each sentence."""
        return self.words.lengths

    @property
    def num_tokens(self) -> int:
        """N."""
        return len(self.words.values)

    def places(self, indices: Tensor) -> Tensor:
        """(n,) the tokens of the sentences at `indices`."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return torch.from_numpy(spans(self.words.offsets[:-1][chosen].numpy(), self.lengths[chosen].numpy()))

    def select(self, indices: Tensor) -> "Sentences":
        """Copy the sentences at `indices`, in that order, with the forms that they hold."""
        places = self.places(indices).numpy()
        held, forms = np.unique(self.forms.numpy()[places], return_inverse=True)
        shapes, features = (torch.from_numpy(part.numpy()[places]) for part in (self.shapes, self.features))
        return Sentences(
            self.words.select(indices), shapes, features, torch.from_numpy(forms), self.characters.select(held)
        )

    def to(self, device: torch.device | str) -> "Sentences":
        """Move all but the lengths, which stay on the CPU."""
        shapes, features, forms = (part.to(device) for part in (self.shapes, self.features, self.forms))
        return Sentences(self.words.to(device), shapes, features, forms, self.characters.to(device))

    def digest(self) -> str:
        """SHA-256 of all that a tagger reads, in hexadecimal."""
        sha = hashlib.sha256(self.words.digest().encode() + self.characters.digest().encode())
        for part in (self.shapes, self.features, self.forms):
            sha.update(part.cpu().numpy().tobytes())
        return sha.hexdigest()
