"""Token vectors and position embeddings."""

import math

import torch
from torch import Tensor, nn

from ostinato.nn.layout import Layout

UNKNOWN = 0  # the id of a token that is out of vocabulary


class PositionEmbedding(nn.Module):
    """Adds a vector for the step's position in its sequence; useful for windows aligned on a site.

    Args:
        size: D.
        kind: `learned` (a table), or `sinusoidal` (fixed, any length; Vaswani et al. 2017, section 3.5).
        num_positions: rows of the learned table; later positions share the last row.

    Shapes:
        values (N, D) -> (N, D).
    """

    frequencies: Tensor

    def __init__(self, size: int, *, kind: str, num_positions: int) -> None:
        super().__init__()
        self.learned = kind == "learned"
        if self.learned:
            self.table = nn.Parameter(torch.empty(num_positions, size))
            if not self.table.is_meta:  # see `TokenEmbedding.reset_parameters`
                self.table.data.copy_(torch.randn(num_positions, size) * 0.02)
        else:
            steps = torch.arange(0, size, 2, device="cpu")  # on the meta device, this would also import a compiler
            frequencies = torch.exp(steps * (-math.log(10_000.0) / size)).to(torch.get_default_device())
            self.register_buffer("frequencies", frequencies, persistent=False)
            self.size = size

    def forward(self, values: Tensor, layout: Layout) -> Tensor:
        return self.at(values, layout.time)

    def at(self, values: Tensor, time: Tensor) -> Tensor:
        """Steps at the positions `time` (N,), from 0. (N, D) -> (N, D)."""
        if self.learned:
            return values + nn.functional.embedding(time.clamp(max=len(self.table) - 1), self.table)
        angles = time.unsqueeze(1) * self.frequencies  # (N,) -> (N, D/2)
        waves = torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[
            :, : self.size
        ]  # sin and cos alternate -> (N, D)
        return values + waves.to(values.dtype)


class TokenEmbedding(nn.Embedding):
    """A table of token vectors, initially small so that the recurrence starts in its linear range.

    Args:
        num_tokens: V.
        size: D.
        num_extra: further tokens with ids from V on, whose vectors are not trained; fill the buffer `extra`.
        dropout: in training, probability of a token's vector to be zero wherever the token occurs in the batch; the
            other vectors are divided by 1 - dropout.

    Shapes:
        ids (N,) -> (N, D).

    Source: the dropout is that of Gal & Ghahramani (2016), arXiv:1512.05287, section 4.2.
    """

    extra: Tensor

    def __init__(self, num_tokens: int, size: int, *, num_extra: int = 0, dropout: float = 0.0) -> None:
        super().__init__(num_tokens, size)
        self.dropout = dropout
        self.register_buffer("extra", torch.zeros(num_extra, size) if num_extra else None)

    @property
    def drops(self) -> bool:
        """Whether vectors are dropped in the current mode."""
        return self.training and self.dropout > 0

    def forward(self, ids: Tensor) -> Tensor:
        vectors = self._look_up(ids)
        if not self.drops:
            return vectors
        num_tokens = self.num_embeddings + (0 if self.extra is None else len(self.extra))
        mask = vectors.new_empty(num_tokens, 1).bernoulli_(1 - self.dropout) / (1 - self.dropout)
        return vectors * mask[ids]  # (V, 1) -> (N, 1)

    def _look_up(self, ids: Tensor) -> Tensor:
        if self.extra is None:
            return super().forward(ids)
        is_extra = ids >= self.num_embeddings
        own = super().forward(ids.masked_fill(is_extra, 0))
        others = nn.functional.embedding((ids - self.num_embeddings).clamp(min=0), self.extra)
        return torch.where(is_extra.unsqueeze(-1), others, own)

    def reset_parameters(self) -> None:
        # on the meta device there is nothing to fill, and the first try would import a compiler for seconds
        if self.weight.numel() and not self.weight.is_meta:
            nn.init.normal_(self.weight, std=1 / math.sqrt(self.embedding_dim))


def drop_words(ids: Tensor, p: float) -> Tensor:
    """Token ids, each with probability `p` that of a token out of vocabulary. (N,) -> (N,).

    Source: Iyyer et al. (2015), Deep unordered composition rivals syntactic methods, section 3.1; there, words vanish.
    """
    return ids.masked_fill(torch.rand(len(ids), device=ids.device) < p, UNKNOWN)
