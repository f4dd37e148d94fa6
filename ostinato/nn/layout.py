"""The position of each step in a ragged batch, and moving steps between ragged and padded form.

A ragged batch is its sequences end to end: `values (N, …)` with `lengths (B,)`. Make one `Layout` per batch and share
it between all layers and poolings; everything in it follows from the lengths.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

PADDING_LIMIT = 2.0  # a padded bucket has at most this many times as many positions as real steps


class Layout:
    """The positions of N steps in B sequences.

    Args:
        lengths: (B,) number of steps of each sequence, zero allowed; any integer dtype, any device.
        device: the device of the values; by default that of the lengths.

    Raises:
        ValueError: `lengths` is not a vector of integers ≥ 0.
    """

    def __init__(self, lengths: Tensor, device: torch.device | None = None) -> None:
        self.lengths_on_cpu = lengths.to("cpu", torch.int64).contiguous()
        self._lengths_here: list[int] = self.lengths_on_cpu.tolist()
        if lengths.dim() != 1 or lengths.is_floating_point():
            raise ValueError(
                f"lengths have shape {tuple(lengths.shape)} and dtype {lengths.dtype}. Expected a vector of integers."
            )
        shortest = min(self._lengths_here, default=0)
        if shortest < 0:
            raise ValueError(f"lengths[{self._lengths_here.index(shortest)}] is {shortest}. Expected 0 or more.")
        self.lengths = self.lengths_on_cpu.to(device or lengths.device)

    @property
    def batch_size(self) -> int:
        return len(self._lengths_here)

    @cached_property
    def ends(self) -> Tensor:
        """(B,) the row after the last step of each sequence."""
        return self.lengths.cumsum(0)

    @cached_property
    def starts(self) -> Tensor:
        """(B,) the row of the first step of each sequence."""
        return self.ends - self.lengths

    @cached_property
    def has_empty(self) -> bool:
        """Whether any sequence has no steps."""
        return 0 in self._lengths_here

    @cached_property
    def num_steps(self) -> int:
        return sum(self._lengths_here)

    @cached_property
    def sequence(self) -> Tensor:
        """(N,) the sequence that each step belongs to."""
        return torch.repeat_interleave(
            torch.arange(self.batch_size, device=self.lengths.device), self.lengths, output_size=self.num_steps
        )

    @cached_property
    def time(self) -> Tensor:
        """(N,) the position of each step in its sequence, from 0."""
        return torch.arange(self.num_steps, device=self.lengths.device) - self.starts[self.sequence]

    @cached_property
    def buckets(self) -> list["Bucket"]:
        """Groups of sequences of similar length, longest first, so that each needs little padding."""
        order = sorted(
            (b for b in range(self.batch_size) if self._lengths_here[b]),
            key=self._lengths_here.__getitem__,
            reverse=True,
        )
        groups: list[list[int]] = []
        steps = 0
        for b in order:
            length = self._lengths_here[b]
            if groups and (len(groups[-1]) + 1) * self._lengths_here[groups[-1][0]] <= PADDING_LIMIT * (steps + length):
                groups[-1].append(b)
                steps += length
            else:
                groups.append([b])
                steps = length
        return [self._bucket(group) for group in groups]

    def _bucket(self, group: list[int]) -> "Bucket":
        device = self.lengths.device
        longest, width = self._lengths_here[group[0]], len(group)
        if width == self.batch_size:  # the whole batch, in its own order
            steps, column = None, self.sequence
        else:
            chosen = torch.full((self.batch_size,), -1, device=device)
            chosen[torch.tensor(group, device=device)] = torch.arange(width, device=device)
            column = chosen[self.sequence]
            steps = (column >= 0).nonzero().squeeze(1)
        time, length, column = (
            part if steps is None else part[steps] for part in (self.time, self.lengths[self.sequence], column)
        )
        return Bucket(longest, width, steps, time * width + column, (length - 1 - time) * width + column)


@dataclass(frozen=True)
class Bucket:
    """A group of sequences, and the positions of their steps in a padded (T, B, …) block.

    Args:
        longest: T, steps in the block.
        width: B, sequences in the block.
        steps: (n,) the rows of the group's steps in the batch; None for the whole batch, in order.
        forwards: (n,) the position t·B + b of each step.
        backwards: (n,) the same, with each sequence reversed within its own length.
    """

    longest: int
    width: int
    steps: Tensor | None
    forwards: Tensor
    backwards: Tensor

    def pad(self, values: Tensor, *, reverse: bool) -> Tensor:
        """(N, D) -> (T, B, D), zeros past each length."""
        mine = values if self.steps is None else gather_rows(values, self.steps)
        positions = self.backwards if reverse else self.forwards
        return scatter_rows(mine, positions, self.longest * self.width).view(
            self.longest, self.width, *values.shape[1:]
        )

    def unpad(self, padded: Tensor, *, reverse: bool) -> Tensor:
        """(T, B, H) -> (n, H), real steps only."""
        return gather_rows(padded.flatten(0, 1), self.backwards if reverse else self.forwards)


def gather_rows(values: Tensor, rows: Tensor) -> Tensor:
    """`values[rows]` for distinct rows, so that backward copies instead of adding. (M, D) -> (n, D)."""
    gathered: Tensor = _GatherRows.apply(values, rows)  # type: ignore[no-untyped-call]
    return gathered


def scatter_rows(values: Tensor, rows: Tensor, size: int) -> Tensor:
    """The inverse of `gather_rows`: `values` at `rows` of `size` rows, zeros elsewhere. (n, D) -> (size, D)."""
    scattered: Tensor = _ScatterRows.apply(values, rows, size)  # type: ignore[no-untyped-call]
    return scattered


class _GatherRows(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, rows: Tensor) -> Tensor:
        return values.index_select(0, rows)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        values, rows = inputs
        ctx.save_for_backward(rows)
        ctx.save_for_forward(rows)
        ctx.size = len(values)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return scatter_rows(grad, ctx.saved_tensors[0], ctx.size), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        return tangent.index_select(0, ctx.saved_tensors[0])


class _ScatterRows(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, rows: Tensor, size: int) -> Tensor:
        return values.new_zeros(size, *values.shape[1:]).index_copy(0, rows, values)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])
        ctx.save_for_forward(inputs[1])
        ctx.size = inputs[2]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return gather_rows(grad, ctx.saved_tensors[0]), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return tangent.new_zeros(ctx.size, *tangent.shape[1:]).index_copy(0, ctx.saved_tensors[0], tangent)
