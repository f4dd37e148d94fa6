"""Linear-chain conditional random fields: score whole sequences of tags by tag scores and transition scores.

The torch operations here are the reference, for any dtype and device; float32 on the CPU runs in the kernel.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ostinato.errors import ConfigError
from ostinato.nn.kernel import crf as kernel
from ostinato.nn.layout import Layout, gather_rows
from ostinato.nn.linear import runs_native


class CRFConstraints(NamedTuple):
    """Which tags may start a sequence, follow each other and end a sequence: booleans, True where allowed.

    Args:
        start: (C,).
        transitions: (C, C), from the tag of the row to the tag of the column.
        end: (C,).
    """

    start: Tensor
    transitions: Tensor
    end: Tensor


class LinearChainCRF(nn.Module):
    """A distribution over the tags y of a sequence with emissions e:

        log p(y | e) = start[y_1] + Σ_t e_t[y_t] + Σ_t transitions[y_t, y_{t+1}] + end[y_T] − log Z

    log Z makes the probabilities of all y sum to 1. All scores start at 0. Sequences of tags that `allowed` forbids
    have probability 0: they are never decoded, and their log-likelihood is −inf. In inference on the CPU the results
    for a sequence have the same bits in any batch.

    Args:
        num_tags: C.
        allowed: constraints; None allows every sequence of tags.

    Attributes:
        start, transitions, end: (C,), (C, C) from row to column, (C,).

    Shapes:
        In all methods: emissions (N, C) and tags (N,) with a layout of N steps in B sequences.

    Raises:
        ConfigError: `num_tags` is below 1, or constraints have a wrong shape or dtype.

    Source: Lafferty, McCallum & Pereira (2001); Lample et al. (2016), arXiv:1603.01360, section 2.2.
    """

    def __init__(self, num_tags: int, *, allowed: CRFConstraints | None = None) -> None:
        super().__init__()
        if num_tags < 1:
            raise ConfigError(f"num_tags {num_tags} cannot be used. Expected 1 or more.")
        self.num_tags = num_tags
        self.start = nn.Parameter(torch.zeros(num_tags))
        self.transitions = nn.Parameter(torch.zeros(num_tags, num_tags))
        self.end = nn.Parameter(torch.zeros(num_tags))
        self._possible = {0}  # lengths known to have an allowed sequence of tags
        self.allowed = None if allowed is None else CRFConstraints(*(part.cpu() for part in allowed))
        for name, shape in (("start", (num_tags,)), ("transitions", (num_tags, num_tags)), ("end", (num_tags,))):
            part = None if allowed is None else getattr(allowed, name)
            if part is not None and (part.shape != shape or part.dtype is not torch.bool):
                raise ConfigError(
                    f"allowed.{name} has shape {tuple(part.shape)} and dtype {part.dtype}. "
                    f"Expected {shape} and torch.bool."
                )
            self.register_buffer(f"forbidden_{name}", None if part is None else ~part, persistent=False)

    def log_likelihood(self, emissions: Tensor, tags: Tensor, layout: Layout) -> Tensor:
        """The log-likelihood log p(tags | emissions) of each sequence; 0 without steps. (N, C), (N,) -> (B,).

        Raises:
            ValueError: a wrong shape, a tag outside 0 to C − 1, or a length for which the constraints allow no tags.
        """
        self._check(emissions, layout)
        _check_tags(tags, emissions)
        scores = self._scores()
        if runs_native(emissions, self.transitions):
            return kernel.log_likelihood(emissions, tags, layout.lengths_on_cpu, *scores)
        return log_likelihood(emissions, tags, layout, *scores)

    def decode(self, emissions: Tensor, layout: Layout) -> Tensor:
        """The most probable tags of each sequence; ties go to the lowest tag. (N, C) -> (N,) int64.

        Raises:
            ValueError: a wrong shape, or a length for which the constraints allow no tags.
        """
        self._check(emissions, layout)
        with torch.no_grad():
            if runs_native(emissions, self.transitions):
                return kernel.decode(emissions, layout.lengths_on_cpu, *self._scores())
            return decode(emissions, layout, *self._scores())

    def marginals(self, emissions: Tensor, layout: Layout) -> Tensor:
        """p(y_t = c | emissions) of each step and tag. (N, C) -> (N, C).

        The kernel has no derivative for marginals, so torch's operations compute them when a gradient is needed.

        Raises:
            ValueError: a wrong shape, or a length for which the constraints allow no tags.
        """
        self._check(emissions, layout)
        scores = self._scores()
        differentiated = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (emissions, *scores))
        if not differentiated and runs_native(emissions, self.transitions):
            return kernel.marginals(emissions, layout.lengths_on_cpu, *scores)
        return marginals(emissions, layout, *scores)

    def extra_repr(self) -> str:
        return f"{self.num_tags}" + ("" if self.allowed is None else ", allowed=…")

    def _scores(self) -> tuple[Tensor, Tensor, Tensor]:
        """`start`, `transitions` and `end`, −inf where forbidden."""
        if self.allowed is None:
            return self.start, self.transitions, self.end
        start, transitions, end = (
            getattr(self, name).masked_fill(getattr(self, f"forbidden_{name}"), -torch.inf)
            for name in CRFConstraints._fields
        )
        return start, transitions, end

    def _check(self, emissions: Tensor, layout: Layout) -> None:
        if emissions.shape != (layout.num_steps, self.num_tags):
            raise ValueError(
                f"emissions have shape {tuple(emissions.shape)}. "
                f"Expected {(layout.num_steps, self.num_tags)}: steps of the layout × tags."
            )
        if self.allowed is not None:
            for length in sorted(set(layout.lengths_on_cpu.tolist()) - self._possible):
                if not _has_tags(self.allowed, length):
                    raise ValueError(
                        f"The constraints allow no tags for a sequence of length {length}. "
                        "Remove the sequence, or allow more."
                    )
                self._possible.add(length)


def _has_tags(allowed: CRFConstraints, length: int) -> bool:
    """Whether the constraints allow any tags for a sequence of this length."""
    reached = allowed.start
    for _ in range(length - 1):
        following = allowed.transitions[reached].any(0)
        if torch.equal(following, reached):  # it stays the same from here on
            break
        reached = following
    return bool((reached & allowed.end).any())


def _check_tags(tags: Tensor, emissions: Tensor) -> None:
    steps, num_tags = emissions.shape
    if tags.shape != (steps,) or tags.dtype is not torch.int64:
        raise ValueError(
            f"tags have shape {tuple(tags.shape)} and dtype {tags.dtype}. "
            f"Expected {(steps,)} and torch.int64: one tag per step."
        )
    if steps:
        lowest, highest = (int(extreme) for extreme in tags.aminmax())
        if lowest < 0 or highest >= num_tags:
            raise ValueError(
                f"tags contain {lowest if lowest < 0 else highest}. Expected 0 to {num_tags - 1}, for {num_tags} tags."
            )


# ---- the reference ---------------------------------------------------------------------------------------------------
# Time is a loop; the sequences that have a step at that time, and all tags, are taken at once. After each step the
# largest score of a sequence is taken off, for float32 would lose digits in scores that grow with time.


def log_likelihood(
    emissions: Tensor, tags: Tensor, layout: Layout, start: Tensor, transitions: Tensor, end: Tensor
) -> Tensor:
    """See `LinearChainCRF.log_likelihood`; scores may be −inf. (N, C), (N,) -> (B,)."""
    alpha, log_z = _forward(emissions, layout, start, transitions, end)
    first, later, last = _first(layout), _later(layout), _last(layout)
    score = emissions.gather(1, tags.unsqueeze(1)).squeeze(1)  # (N, C) -> (N,)
    score = score.index_add(0, first, start[tags[first]]).index_add(0, last, end[tags[last]])
    score = score.index_add(0, later, transitions[tags[later - 1], tags[later]])
    return alpha.new_zeros(layout.batch_size).index_add(0, layout.sequence, score - log_z)


def marginals(emissions: Tensor, layout: Layout, start: Tensor, transitions: Tensor, end: Tensor) -> Tensor:
    """See `LinearChainCRF.marginals`. (N, C) -> (N, C).

    With β_t(i) = log Σ_j exp(T_ij + e_{t+1}(j) + β_{t+1}(j)), p is the softmax of α + β.
    """
    alpha, _ = _forward(emissions, layout, start, transitions, end)
    steps, betas = _by_time(layout), list[Tensor]()
    for t in reversed(range(len(steps))):
        beta = end.expand(len(steps[t]), -1)
        if betas:  # some sequences have a step t + 1
            after = emissions[steps[t + 1]] + betas[-1]
            after = _logsumexp(transitions + after.unsqueeze(1), 2)  # (n, C, C) -> (n, C)
            beta = torch.cat([after, beta[len(after) :]])
        betas.append(beta - _largest(beta, 1))
    return torch.softmax(alpha + _in_batch_order(betas[::-1], steps, emissions), 1)


def decode_allowed(scores: Tensor, layout: Layout, allowed: CRFConstraints) -> Tensor:
    """The allowed tags of each sequence with the largest sum of scores; ties go to the lowest tag. (N, C) -> (N,)."""
    limits = [
        torch.zeros(part.shape, device=scores.device).masked_fill(~part.to(scores.device), -torch.inf)
        for part in allowed
    ]
    if runs_native(scores, limits[1]):
        return kernel.decode(scores, layout.lengths_on_cpu, *limits)
    return decode(scores, layout, *limits)


def decode(emissions: Tensor, layout: Layout, start: Tensor, transitions: Tensor, end: Tensor) -> Tensor:
    """See `LinearChainCRF.decode`. Viterbi: v_t(j) = max_i (v_{t−1}(i) + T_ij) + e_t(j). (N, C) -> (N,)."""
    steps, values, pointers = _by_time(layout), list[Tensor](), list[Tensor]()
    for t, rows in enumerate(steps):
        if t == 0:
            best, pointer = start.expand(len(rows), -1), torch.zeros_like(emissions[rows], dtype=torch.int64)
        else:
            best, pointer = (values[-1][: len(rows)].unsqueeze(2) + transitions).max(1)  # (n, C, C) -> (n, C)
        value = best + emissions[rows]
        values.append(value - value.amax(1, keepdim=True))
        pointers.append(pointer)
    tags, chosen = (
        list[Tensor](),
        layout.lengths.new_empty(0),
    )  # of the sequences with a step t, in the order of `steps`
    for t in reversed(range(len(steps))):
        remaining = pointers[t + 1].gather(1, chosen.unsqueeze(1)).squeeze(1) if tags else chosen
        chosen = torch.cat([remaining, (values[t][len(remaining) :] + end).argmax(1)])
        tags.append(chosen)
    return _in_batch_order(tags[::-1], steps, layout.lengths)


def _forward(
    emissions: Tensor, layout: Layout, start: Tensor, transitions: Tensor, end: Tensor
) -> tuple[Tensor, Tensor]:
    """α_t(j) = log Σ_i exp(α_{t−1}(i) + T_ij) + e_t(j), minus its maximum, and each step's share of log Z.

    Shapes:
        emissions (N, C) -> (N, C), (N,).
    """
    steps, alphas, shares = _by_time(layout), list[Tensor](), list[Tensor]()
    for t, rows in enumerate(steps):
        before = (
            start if t == 0 else _logsumexp(alphas[-1][: len(rows)].unsqueeze(2) + transitions, 1)
        )  # (n, C, C) -> (n, C)
        alpha = before + emissions[rows]
        share = _largest(alpha, 1)
        alphas.append(alpha - share)
        shares.append(share.squeeze(1))
    alpha, share, last = (
        _in_batch_order(alphas, steps, emissions),
        _in_batch_order(shares, steps, emissions[:, 0]),
        _last(layout),
    )
    return alpha, share.index_add(0, last, _logsumexp(alpha[last] + end, 1))


def _by_time(layout: Layout) -> list[Tensor]:
    """The rows of the steps at each time, longest sequences first, so that those with a later step come first."""
    rank = layout.lengths.argsort(descending=True, stable=True).argsort()
    order = (layout.time * layout.batch_size + rank[layout.sequence]).argsort()
    return list(torch.split(order, torch.bincount(layout.time).tolist()))


def _in_batch_order(parts: Sequence[Tensor], steps: Sequence[Tensor], like: Tensor) -> Tensor:
    """Join the results for `steps` in the order of the batch; for an empty batch, an empty tensor `like` the given.

    Shapes:
        T × (n, …) -> (N, …).
    """
    return gather_rows(torch.cat(list(parts)), torch.cat(list(steps)).argsort()) if parts else like[:0]


def _first(layout: Layout) -> Tensor:
    return layout.starts[layout.lengths > 0]


def _last(layout: Layout) -> Tensor:
    return layout.ends[layout.lengths > 0] - 1


def _later(layout: Layout) -> Tensor:
    """The rows of the steps that have a step before them."""
    return (layout.time > 0).nonzero().squeeze(1)


def _largest(scores: Tensor, dim: int) -> Tensor:
    """The maximum without gradient, and finite even if all scores are −inf."""
    return scores.detach().amax(dim, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)


def _logsumexp(scores: Tensor, dim: int) -> Tensor:
    """torch.logsumexp, but with a gradient of 0 instead of NaN where all scores are −inf."""
    largest = _largest(scores, dim)
    total = (scores - largest).exp().sum(dim)
    return total.masked_fill(total == 0, 1.0).log().masked_fill(total == 0, -torch.inf) + largest.squeeze(dim)
