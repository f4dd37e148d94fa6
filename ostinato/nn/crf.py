"""Conditional random fields: scores for whole sequences of tags, from scores of tags and of their transitions.

The torch operations here are the reference, for any dtype and device; float32 on the CPU goes through the kernel.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ostinato.errors import ConfigError
from ostinato.nn.kernel import crf as kernel
from ostinato.nn.layout import Layout, take
from ostinato.nn.linear import serves


class CRFConstraints(NamedTuple):
    """Which tags may begin a sequence, follow one another and end a sequence: booleans, True where allowed.

    Args:
        start: (C,).
        transitions: (C, C), from the row's tag to the column's.
        end: (C,).
    """

    start: Tensor
    transitions: Tensor
    end: Tensor


class LinearChainCRF(nn.Module):
    """A distribution over the tags y of a sequence with emissions e:

        log p(y | e) = start[y_1] + Σ_t e_t[y_t] + Σ_t transitions[y_t, y_{t+1}] + end[y_T] − log Z

    with log Z such that the probabilities of all y add up to 1. All scores are 0 at first. What `allowed` forbids has
    probability 0: it is never decoded, and its log-likelihood is −inf. In inference on the CPU the answer for a sequence
    has the same bits in any batch.

    Args:
        num_tags: C.
        allowed: constraints; without them any tag may stand anywhere.

    Attributes:
        start, transitions, end: (C,), (C, C) from row to column, (C,).

    Shapes:
        Everywhere emissions (N, C) and tags (N,) with a layout of N steps in B sequences.

    Raises:
        ConfigError: no tags, or constraints of another shape or dtype.

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
        self._possible = {0}  # lengths that the constraints are known to have tags for
        self.allowed = None if allowed is None else CRFConstraints(*(part.cpu() for part in allowed))
        for name, shape in (("start", (num_tags,)), ("transitions", (num_tags, num_tags)), ("end", (num_tags,))):
            part = None if allowed is None else getattr(allowed, name)
            if part is not None and (part.shape != shape or part.dtype is not torch.bool):
                raise ConfigError(
                    f"allowed.{name} has shape {tuple(part.shape)} and dtype {part.dtype}. Expected {shape} and torch.bool."
                )
            self.register_buffer(f"forbidden_{name}", None if part is None else ~part, persistent=False)

    def log_likelihood(self, emissions: Tensor, tags: Tensor, layout: Layout) -> Tensor:
        """The logarithm of p(tags | emissions) of each sequence; 0 of one without steps. (N, C), (N,) -> (B,).

        Raises:
            ValueError: shapes that do not fit, a tag outside 0 to C − 1, a length for which the constraints leave no tags.
        """
        self._check(emissions, layout)
        _check_tags(tags, emissions)
        scores = self._scores()
        if serves(emissions, self.transitions):
            return kernel.log_likelihood(emissions, tags, layout.lengths_on_cpu, *scores)
        return log_likelihood(emissions, tags, layout, *scores)

    def decode(self, emissions: Tensor, layout: Layout) -> Tensor:
        """The most probable tags of each sequence; of equals the lowest, from the end backwards. (N, C) -> (N,) int64.

        Raises:
            ValueError: shapes that do not fit, or a length for which the constraints leave no tags.
        """
        self._check(emissions, layout)
        with torch.no_grad():
            if serves(emissions, self.transitions):
                return kernel.decode(emissions, layout.lengths_on_cpu, *self._scores())
            return decode(emissions, layout, *self._scores())

    def marginals(self, emissions: Tensor, layout: Layout) -> Tensor:
        """p(y_t = c | emissions) of each step and tag. (N, C) -> (N, C).

        The kernel computes them without a derivative: where one is asked for, torch's operations do.

        Raises:
            ValueError: shapes that do not fit, or a length for which the constraints leave no tags.
        """
        self._check(emissions, layout)
        scores = self._scores()
        differentiated = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (emissions, *scores))
        if not differentiated and serves(emissions, self.transitions):
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
                f"emissions have the shape {tuple(emissions.shape)}. Expected {(layout.num_steps, self.num_tags)}: steps of the layout, and tags."
            )
        if self.allowed is not None:
            for length in sorted(set(layout.lengths_on_cpu.tolist()) - self._possible):
                if not _has_tags(self.allowed, length):
                    raise ValueError(
                        f"allowed leaves no tags for a sequence of length {length}. Leave the sequence out, or allow more."
                    )
                self._possible.add(length)


def _has_tags(allowed: CRFConstraints, length: int) -> bool:
    """Whether some tags of a sequence of so many steps are allowed."""
    reached = allowed.start
    for _ in range(length - 1):
        following = allowed.transitions[reached].any(0)
        if torch.equal(following, reached):  # and so on for ever
            break
        reached = following
    return bool((reached & allowed.end).any())


def _check_tags(tags: Tensor, emissions: Tensor) -> None:
    steps, num_tags = emissions.shape
    if tags.shape != (steps,) or tags.dtype is not torch.int64:
        raise ValueError(
            f"tags have the shape {tuple(tags.shape)} and dtype {tags.dtype}. Expected {(steps,)} and torch.int64: one a step."
        )
    if steps:
        lowest, highest = (int(extreme) for extreme in tags.aminmax())
        if lowest < 0 or highest >= num_tags:
            raise ValueError(
                f"tag {lowest if lowest < 0 else highest} is not one of the {num_tags} tags. Expected 0 to {num_tags - 1}."
            )


# ---- the reference -------------------------------------------------------------------------------------------------
# Time is a loop; the sequences that have a step at that time, and all tags, are taken at once. After each step the
# largest score of a sequence is taken off, for float32 would lose digits in scores that grow with time.


def log_likelihood(
    emissions: Tensor, tags: Tensor, layout: Layout, start: Tensor, transitions: Tensor, end: Tensor
) -> Tensor:
    """As the method; scores may be −inf. (N, C), (N,) -> (B,)."""
    alpha, log_z = _forward(emissions, layout, start, transitions, end)
    first, later, last = _first(layout), _later(layout), _last(layout)
    score = emissions.gather(1, tags.unsqueeze(1)).squeeze(1)  # (N, C) -> (N,)
    score = score.index_add(0, first, start[tags[first]]).index_add(0, last, end[tags[last]])
    score = score.index_add(0, later, transitions[tags[later - 1], tags[later]])
    return alpha.new_zeros(layout.batch_size).index_add(0, layout.sequence, score - log_z)


def marginals(emissions: Tensor, layout: Layout, start: Tensor, transitions: Tensor, end: Tensor) -> Tensor:
    """As the method; β_t(i) = log Σ_j exp(T_ij + e_{t+1}(j) + β_{t+1}(j)), and p is the softmax of α + β. (N, C) -> (N, C)."""
    alpha, _ = _forward(emissions, layout, start, transitions, end)
    steps, betas = _by_time(layout), list[Tensor]()
    for t in reversed(range(len(steps))):
        beta = end.expand(len(steps[t]), -1)
        if betas:  # some go on
            after = emissions[steps[t + 1]] + betas[-1]
            after = _logsumexp(transitions + after.unsqueeze(1), 2)  # (n, C, C) -> (n, C)
            beta = torch.cat([after, beta[len(after) :]])
        betas.append(beta - _largest(beta, 1))
    return torch.softmax(alpha + _in_place(betas[::-1], steps, emissions), 1)


def decode(emissions: Tensor, layout: Layout, start: Tensor, transitions: Tensor, end: Tensor) -> Tensor:
    """As the method, by Viterbi: v_t(j) = max_i (v_{t−1}(i) + T_ij) + e_t(j). (N, C) -> (N,)."""
    steps, values, pointers = _by_time(layout), list[Tensor](), list[Tensor]()
    for t, rows in enumerate(steps):
        if t == 0:
            best, pointer = start.expand(len(rows), -1), torch.zeros_like(emissions[rows], dtype=torch.int64)
        else:
            best, pointer = (values[-1][: len(rows)].unsqueeze(2) + transitions).max(1)  # (n, C, C) -> (n, C)
        value = best + emissions[rows]
        values.append(value - value.amax(1, keepdim=True))
        pointers.append(pointer)
    tags, chosen = list[Tensor](), layout.lengths.new_empty(0)  # of the sequences that have a step at t, as `steps`
    for t in reversed(range(len(steps))):
        going_on = pointers[t + 1].gather(1, chosen.unsqueeze(1)).squeeze(1) if tags else chosen
        chosen = torch.cat([going_on, (values[t][len(going_on) :] + end).argmax(1)])
        tags.append(chosen)
    return _in_place(tags[::-1], steps, layout.lengths)


def _forward(
    emissions: Tensor, layout: Layout, start: Tensor, transitions: Tensor, end: Tensor
) -> tuple[Tensor, Tensor]:
    """α_t(j) = log Σ_i exp(α_{t−1}(i) + T_ij) + e_t(j), less its largest; and each step's share of log Z. (N, C) -> (N, C), (N,)."""
    steps, alphas, shares = _by_time(layout), list[Tensor](), list[Tensor]()
    for t, rows in enumerate(steps):
        before = (
            start if t == 0 else _logsumexp(alphas[-1][: len(rows)].unsqueeze(2) + transitions, 1)
        )  # (n, C, C) -> (n, C)
        alpha = before + emissions[rows]
        share = _largest(alpha, 1)
        alphas.append(alpha - share)
        shares.append(share.squeeze(1))
    alpha, share, last = _in_place(alphas, steps, emissions), _in_place(shares, steps, emissions[:, 0]), _last(layout)
    return alpha, share.index_add(0, last, _logsumexp(alpha[last] + end, 1))


def _by_time(layout: Layout) -> list[Tensor]:
    """T times the steps at that time, those of the longest sequences first: the first n of them are the n that go on."""
    rank = layout.lengths.argsort(descending=True, stable=True).argsort()
    order = (layout.time * layout.batch_size + rank[layout.sequence]).argsort()
    return list(torch.split(order, torch.bincount(layout.time).tolist()))


def _in_place(parts: Sequence[Tensor], steps: Sequence[Tensor], like: Tensor) -> Tensor:
    """What was computed for these steps, in the batch's order; without any, nothing `like` the empty tensor given. T × (n, …) -> (N, …)."""
    return take(torch.cat(list(parts)), torch.cat(list(steps)).argsort()) if parts else like[:0]


def _first(layout: Layout) -> Tensor:
    return layout.starts[layout.lengths > 0]


def _last(layout: Layout) -> Tensor:
    return layout.ends[layout.lengths > 0] - 1


def _later(layout: Layout) -> Tensor:
    """Steps with one before them."""
    return (layout.time > 0).nonzero().squeeze(1)


def _largest(scores: Tensor, dim: int) -> Tensor:
    """As a constant, and finite also where nothing is."""
    return scores.detach().amax(dim, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)


def _logsumexp(scores: Tensor, dim: int) -> Tensor:
    """−inf where all scores are, as torch.logsumexp; but with gradients of 0 there, and not NaN."""
    largest = _largest(scores, dim)
    total = (scores - largest).exp().sum(dim)
    return total.masked_fill(total == 0, 1.0).log().masked_fill(total == 0, -torch.inf) + largest.squeeze(dim)
