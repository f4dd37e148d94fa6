"""Encoded sentences: the word, word shape, characters and features of each token, without padding."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ostinato.data.ragged import Ragged
from ostinato.data.spans import spans
from ostinato.nn import Layout
from ostinato.nn.wide_tokens import Tokens


@dataclass(frozen=True, eq=False)
class Sentences:
    """B sentences laid end to end, N tokens in all.

    Args:
        words: (N,) int32 word ids, and the lengths of the sentences.
        shapes: (N,) int64 ids of word shapes, the patterns of capitals and digits.
        features: (N, K) int64 ids of the K features of each token.
        forms: (N,) int64, the index in `characters` of each token's form, its exact spelling.
        characters: int32 character ids of F distinct forms.
        letters: int32 codes of the characters of the same forms, known or not.
    """

    words: Ragged
    shapes: Tensor
    features: Tensor
    forms: Tensor
    characters: Ragged
    letters: Tensor

    def __len__(self) -> int:
        return len(self.words)

    @property
    def lengths(self) -> Tensor:
        """The number of tokens of each sentence, (B,)."""
        return self.words.lengths

    @property
    def num_tokens(self) -> int:
        """N."""
        return len(self.words.values)

    def token_indices(self, indices: Tensor) -> Tensor:
        """The indices of all n tokens of the sentences at `indices`, (n,)."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return torch.from_numpy(spans(self.words.offsets[:-1][chosen].numpy(), self.lengths[chosen].numpy()))

    def select(self, indices: Tensor) -> "Sentences":
        """Copy the sentences at `indices`, in that order, with the forms that they use."""
        tokens = self.token_indices(indices).numpy()
        used, forms = np.unique(self.forms.numpy()[tokens], return_inverse=True)
        shapes, features = (torch.from_numpy(part.numpy()[tokens]) for part in (self.shapes, self.features))
        characters = self.characters.select(used)
        letters = Ragged(self.letters, self.characters.lengths).select(used).values
        return Sentences(self.words.select(indices), shapes, features, torch.from_numpy(forms), characters, letters)

    def tokens(self) -> Tokens:
        """What a wide part reads."""
        device = self.forms.device
        forms, layout = Layout(self.characters.lengths, device), Layout(self.lengths, device)
        return Tokens(self.letters, forms, self.forms, self.features, layout)

    def to(self, device: torch.device | str) -> "Sentences":
        """Copy all tensors to a device, except the lengths, which stay on the CPU."""
        shapes, features, forms, letters = (
            part.to(device) for part in (self.shapes, self.features, self.forms, self.letters)
        )
        return Sentences(self.words.to(device), shapes, features, forms, self.characters.to(device), letters)

    def digest(self) -> str:
        """The SHA-256 of all values in hexadecimal, but for the letters, which known characters determine."""
        sha = hashlib.sha256(self.words.digest().encode() + self.characters.digest().encode())
        for part in (self.shapes, self.features, self.forms):
            sha.update(part.cpu().numpy().tobytes())
        return sha.hexdigest()
