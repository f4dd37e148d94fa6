"""Poolings: from the steps of each sequence to one vector, ignoring padding.

Every pooling maps `h (N, H)` and a layout of B sequences to `(B, output_size)`; an empty sequence gives zeros.

Every pooling also has a running form for one sequence that comes in pieces, whose memory does not grow: `start` gives
its state before the first step, `add` the state after further steps, `so_far` the pooled vector (1, output_size).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ostinato.errors import look_up
from ostinato.nn import kernel
from ostinato.nn.layout import Layout
from ostinato.nn.linear import Linear, runs_native


class LastPooling(nn.Module):
    """The final state of each direction: of the forward one the last step, of the reverse one the first step.

    Shapes:
        h (N, H) -> (B, H); for both directions H is the two concatenated.
    """

    def __init__(self, hidden_size: int, *, bidirectional: bool = False) -> None:
        super().__init__()
        self.output_size = hidden_size
        self.bidirectional = bidirectional

    def forward(self, h: Tensor, layout: Layout) -> Tensor:
        if layout.num_steps == 0:
            # there is no state to take; adding the sum keeps the graph connected
            return h.new_zeros(layout.batch_size, self.output_size) + h.sum(0)
        last = h.index_select(0, (layout.ends - 1).clamp(min=0))  # (N, H) -> (B, H)
        if self.bidirectional:
            first = h.index_select(0, layout.starts.clamp(max=layout.num_steps - 1))
            middle = self.output_size // 2
            last = torch.cat([last[:, :middle], first[:, middle:]], dim=1)
        return _zero_if_empty(last, layout)

    def start(self, like: Tensor) -> Tensor:
        return like.new_zeros(1, self.output_size)

    def add(self, state: Tensor, h: Tensor) -> Tensor:
        return h[-1:].clone()

    def so_far(self, state: Tensor, steps: int) -> Tensor:
        return state


class MeanPooling(nn.Module):
    """The mean over the steps of a sequence. Shapes: h (N, H) -> (B, H)."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.output_size = hidden_size

    def forward(self, h: Tensor, layout: Layout) -> Tensor:
        return _sum(h, layout) / layout.lengths.clamp(min=1).unsqueeze(1)

    def start(self, like: Tensor) -> Tensor:
        return like.new_zeros(1, self.output_size)

    def add(self, state: Tensor, h: Tensor) -> Tensor:
        return state.index_add(0, torch.zeros(len(h), dtype=torch.int64, device=h.device), h)

    def so_far(self, state: Tensor, steps: int) -> Tensor:
        return state / torch.tensor([[max(steps, 1)]], device=state.device)


class MaxPooling(nn.Module):
    """The maximum of each unit over the steps of a sequence. Shapes: h (N, H) -> (B, H)."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.output_size = hidden_size

    def forward(self, h: Tensor, layout: Layout) -> Tensor:
        largest = torch.segment_reduce(h, "max", lengths=layout.lengths, axis=0, unsafe=True)  # (N, H) -> (B, H)
        return _zero_if_empty(largest, layout)

    def start(self, like: Tensor) -> Tensor:
        return like.new_full((1, self.output_size), -torch.inf)

    def add(self, state: Tensor, h: Tensor) -> Tensor:
        return torch.maximum(state, h.amax(dim=0, keepdim=True))

    def so_far(self, state: Tensor, steps: int) -> Tensor:
        return state if steps else torch.zeros_like(state)


class AttentionPooling(nn.Module):
    """Additive attention: the mean of the steps, weighted by a = softmax(v · tanh(W h + b)) within each sequence.

    Shapes:
        h (N, H) -> (B, H); `weights`: h (N, H) -> (N,), which sum to 1 in each sequence.

    Attributes:
        by_step: whether the native engine sums step by step in inference, so that a sequence in pieces gives the bits
            of the whole. False where steps have seen later ones, and for models of version 0.1, whose answers keep
            their bits.

    Source: Bahdanau, Cho & Bengio (2015), arXiv:1409.0473, with a learned query; Yang et al. (2016), section 2.2.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.output_size = hidden_size
        self.by_step = True
        self.project = Linear(hidden_size, hidden_size)
        self.score = Linear(hidden_size, 1, bias=False)

    def weights(self, h: Tensor, layout: Layout) -> Tensor:
        scores = self.score(torch.tanh(self.project(h))).squeeze(-1)  # (N, H) -> (N,)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))  # softmax in bfloat16 is too imprecise
        largest = scores.new_full((layout.batch_size,), -torch.inf).scatter_reduce(
            0, layout.sequence, scores.detach(), "amax"
        )
        powers = torch.exp(scores - largest[layout.sequence])
        return powers / _sum(powers, layout)[layout.sequence]

    def forward(self, h: Tensor, layout: Layout, weights: Tensor | None = None) -> Tensor:
        """Pool by the module's own attention weights, or by the given ones (N,)."""
        if weights is None and runs_native(h, self.project.weight):
            running = None
            if self.by_step and not torch.is_grad_enabled():
                running = self.start(h).repeat(layout.batch_size, 1)
            return self._attend(h, layout.lengths_on_cpu, running)
        weights = self.weights(h, layout) if weights is None else weights
        return _sum(weights.unsqueeze(1) * h, layout)

    def start(self, like: Tensor) -> Tensor:
        """The largest score so far, the sum of powers, and the weighted sum of h. (1, H + 2)."""
        state = like.new_zeros(1, self.output_size + 2)
        state[:, 0] = -torch.inf
        return state

    def add(self, state: Tensor, h: Tensor) -> Tensor:
        if runs_native(h, self.project.weight):
            after = state.clone()
            self._attend(h, torch.tensor([len(h)]), after)
            return after
        scores = self.score(torch.tanh(self.project(h))).squeeze(-1)  # (n, H) -> (n,)
        largest = torch.maximum(state[0, 0], scores.max())
        powers = torch.exp(scores - largest)
        sums = torch.cat([powers.sum().unsqueeze(0), powers @ h])  # (H + 1,)
        return torch.cat([largest.unsqueeze(0), state[0, 1:] * torch.exp(state[0, 0] - largest) + sums]).unsqueeze(0)

    def so_far(self, state: Tensor, steps: int) -> Tensor:
        sums = state[:, 2:]
        if runs_native(state, self.project.weight):  # no further step: the state alone, with the kernel's division
            return self._attend(sums[:0], torch.zeros(1, dtype=torch.int64), state.clone())
        return sums / state[:, 1:2] if steps else torch.zeros_like(sums)

    def _attend(self, h: Tensor, lengths: Tensor, running: Tensor | None) -> Tensor:
        weights = (self.project.weight, self.project.bias, self.score.weight)
        return kernel.attend(h, lengths, *weights, running)


class Pooling(nn.Module):
    """One or several poolings, their vectors concatenated in the given order.

    Args:
        names: any of `last`, `mean`, `max`, `attention`.
        hidden_size: H, both directions together.
        bidirectional: whether H is two concatenated directions.

    Raises:
        ConfigError: a name is unknown.
    """

    def __init__(self, names: Sequence[str], hidden_size: int, *, bidirectional: bool = False) -> None:
        super().__init__()
        self.poolings = nn.ModuleDict()
        self.output_size = hidden_size * len(names)
        for name in names:
            self.poolings[name] = look_up(POOLINGS, name, "pooling")(hidden_size)
        for pooling in self.poolings.values():
            if isinstance(pooling, LastPooling):
                pooling.bidirectional = bidirectional
            elif isinstance(pooling, AttentionPooling):
                pooling.by_step = not bidirectional

    def forward(self, h: Tensor, layout: Layout, attention: Tensor | None = None) -> Tensor:
        """Pool; `attention` (N,) replaces the weights that attention pooling would compute."""
        given = {"attention": (attention,)} if attention is not None else {}
        return torch.cat([pooling(h, layout, *given.get(name, ())) for name, pooling in self.poolings.items()], dim=1)


POOLINGS: dict[str, type[LastPooling | MeanPooling | MaxPooling | AttentionPooling]] = {
    "last": LastPooling,
    "mean": MeanPooling,
    "max": MaxPooling,
    "attention": AttentionPooling,
}


def _sum(values: Tensor, layout: Layout) -> Tensor:
    """The sum over the steps of each sequence, in order. (N, …) -> (B, …)."""
    return values.new_zeros(layout.batch_size, *values.shape[1:]).index_add(0, layout.sequence, values)


def _zero_if_empty(pooled: Tensor, layout: Layout) -> Tensor:
    if not layout.has_empty:
        return pooled
    return torch.where(layout.lengths.unsqueeze(1) > 0, pooled, 0.0)
