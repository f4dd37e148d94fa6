"""Networks that learn token vectors without recurrence: from a token or a region, predict the tokens around."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.nn.embedding import TokenEmbedding
from ostinato.nn.layers import Stack
from ostinato.nn.network import Network


class Targets(NamedTuple):
    """Which tokens each position predicts, at `size` consecutive offsets.

    Args:
        padded: (N + size - 1,) tokens; position t has padded[t : t + size] at its offsets, in this order.
        weights: (N, size) float32 weight of each of them; 0: it is not a target.
        are_sets: whether the targets of a position are a set, so that another token of it is never a negative.
    """

    padded: Tensor
    weights: Tensor
    are_sets: bool

    @property
    def ids(self) -> Tensor:
        """(N, size) the token at each offset."""
        return self.padded.unfold(0, self.weights.shape[1], 1)


def neighbours(ids: Tensor, lengths: Tensor, window: int, importance: Tensor) -> Targets:
    """The tokens at most `window` steps away: skip-gram.

    A token at distance d counts (window + 1 - d) / window times, how often word2vec's random window contains it, times
    the importance of both tokens, how often word2vec keeps both.

    Args:
        ids: (N,).
        lengths: (B,).
        importance: (V,) float32, from 0 to 1.
    """
    size = 2 * window + 1
    padded, is_inside = _at_offsets(ids, lengths, -window, size)
    distance = torch.arange(-window, window + 1, device=ids.device).abs()
    closeness = (window + 1 - distance) / window * (distance > 0)
    own = importance[ids].unsqueeze(1)  # (N, 1)
    weights = is_inside * closeness * own * importance[padded].unfold(0, size, 1)
    return Targets(padded, weights, are_sets=False)


def region(ids: Tensor, lengths: Tensor, first: int, size: int, importance: Tensor) -> Targets:
    """The set of tokens in the `size` positions from offset `first` on, cut at the ends of the sequence: two-view.

    A token that occurs twice in a region counts once, by its importance.

    Args:
        ids, lengths, importance: see `neighbours`.
    """
    padded, is_inside = _at_offsets(ids, lengths, first, size)
    found = padded.unfold(0, size, 1).masked_fill(~is_inside, -1)
    is_equal = found.unsqueeze(2) == found.unsqueeze(1)  # (N, size, size)
    is_repeated = is_equal.tril(-1).any(2)
    weights = importance[padded].unfold(0, size, 1) * (is_inside & ~is_repeated)
    return Targets(padded, weights, are_sets=True)


def _at_offsets(ids: Tensor, lengths: Tensor, first: int, size: int) -> tuple[Tensor, Tensor]:
    """What stands at `size` offsets from `first` on, as in `Targets`, and whether it is in the same sequence."""
    sequence = torch.repeat_interleave(lengths.to(ids.device))
    steps = torch.arange(first, first + len(ids) + size - 1, device=ids.device)
    is_there = (steps >= 0) & (steps < len(ids))
    steps = steps.clamp(0, max(len(ids) - 1, 0))
    owner = sequence[steps].masked_fill(~is_there, -1)
    return ids[steps].long(), owner.unfold(0, size, 1) == sequence.unsqueeze(1)


class ContextNetwork(Network):
    """Token vectors, and for each side a table u and a bias b: the logit of token k is v·uₖ + bₖ.

    Args:
        embed: the vectors e.
        num_sides: tables of outputs.

    Shapes:
        `forward`: ids (N,), lengths (B,) -> v (N, E).
    """

    def __init__(self, *, embed: TokenEmbedding, num_sides: int) -> None:
        super().__init__()
        self.embed, self.wide = embed, None
        self.stack = Stack([], 0, residual=False, layer_norm=False, dropout=0.0)
        sizes = (embed.num_embeddings, embed.embedding_dim)
        self.tables = nn.ParameterList(nn.Parameter(torch.zeros(sizes)) for _ in range(num_sides))
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(sizes[0])) for _ in range(num_sides))

    def targets(self, ids: Tensor, lengths: Tensor, importance: Tensor) -> list[Targets]:
        """What each position predicts, for each side."""
        raise NotImplementedError

    @property
    def is_linear(self) -> bool:
        return False

    @property
    def engine(self) -> str:
        return "torch"

    @property
    def device(self) -> torch.device:
        return self.embed.weight.device


class SkipGram(ContextNetwork):
    """From each token, predict its neighbours: v = eₓ, and one table of outputs.

    Args:
        window: how many tokens on each side are neighbours.

    Source: Mikolov et al. (2013), arXiv:1310.4546, section 2.2. There the outputs have no bias.
    """

    def __init__(self, *, embed: TokenEmbedding, window: int) -> None:
        super().__init__(embed=embed, num_sides=1)
        self.window = window

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        vectors: Tensor = self.embed(ids)
        return vectors

    def targets(self, ids: Tensor, lengths: Tensor, importance: Tensor) -> list[Targets]:
        return [neighbours(ids, lengths, self.window, importance)]


class TwoView(ContextNetwork):
    """From the bag of tokens in a region, predict the set of tokens in the next region, and that in the previous one.

    The region of position t has `window` tokens around it, fewer at the ends of a sequence; the next one begins where
    it ends:

        vₜ = relu(Σ e(x) over the region + c)

    Args:
        window: tokens in a region.

    Source: Johnson & Zhang (2015), arXiv:1504.01255, section 2, with bag-of-words regions; (2016), arXiv:1602.02373,
    section 3. There the loss is squared.
    """

    def __init__(self, *, embed: TokenEmbedding, window: int) -> None:
        super().__init__(embed=embed, num_sides=2)
        self.window = window
        self.shift = nn.Parameter(torch.zeros(embed.embedding_dim))

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        before = (self.window - 1) // 2
        _, is_inside = _at_offsets(ids, lengths, -before, self.window)
        vectors = self.embed(ids)
        padded = F.pad(vectors, (0, 0, before, self.window - 1 - before))
        total = self.shift.expand_as(vectors)
        for offset in range(self.window):
            total = total + padded[offset : offset + len(ids)] * is_inside[:, offset : offset + 1]
        return total.relu()

    def targets(self, ids: Tensor, lengths: Tensor, importance: Tensor) -> list[Targets]:
        before = (self.window - 1) // 2
        firsts = (self.window - before, -before - self.window)
        return [region(ids, lengths, first, self.window, importance) for first in firsts]
