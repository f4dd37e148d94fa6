"""The reference engine of padded and ragged batches: a cell's equation in a loop over the steps.

Made of torch's differentiable operations, so it runs in any dtype, on any device, and differentiates any number of
times.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ostinato.nn.cells import CELLS, Cell, field_names
from ostinato.nn.kernel.calls import Spec
from ostinato.nn.layout import Layout, gather_rows, scatter_rows
from ostinato.nn.over_time import State


def run_stack(
    spec: Spec, x: Tensor, lengths: Tensor | None, states: State, weights: Sequence[Tensor]
) -> tuple[Tensor, State]:
    """All layers of a stack; shapes as in `kernel.recurrent`, with `states` (h0,) or (h0, c0), or empty for zeros."""
    directions, group = 2 if spec.bidirectional else 1, len(weights) // spec.num_layers
    if len(states) > 1:
        states = (states[0], *states[1].chunk(CELLS[spec.cell].states - 1, dim=-1))
    finals = []
    for k in range(spec.num_layers):
        start = tuple(state[k * directions : (k + 1) * directions] for state in states)
        x, final = run_layer(spec, x, lengths, start, weights[k * group : (k + 1) * group])
        finals.append(final)
    h_n, *c_n = (torch.cat(parts) for parts in zip(*finals, strict=True))
    return x, (h_n, torch.cat(c_n, dim=-1)) if c_n else (h_n,)


def run_layer(
    spec: Spec, x: Tensor, lengths: Tensor | None, states: State, weights: Sequence[Tensor]
) -> tuple[Tensor, State]:
    """One layer, in each of its directions."""
    cell = CELLS[spec.cell]
    group = len(field_names(cell.weights)) if spec.bias else 2
    positions, counts = _positions_of_rows(spec, lengths)
    steps, positions = spec.padded_length if spec.order != "ragged" else int(counts.max()), positions.to(x.device)
    mask = (torch.arange(steps).unsqueeze(1) < counts).unsqueeze(2).to(x.device)  # (T, B, 1)
    block = scatter_rows(x, positions, steps * len(counts)).view(
        steps, len(counts), x.shape[1]
    )  # (rows, D) -> (T, B, D)
    block = block.masked_fill(~mask, 0)  # values in padding must not reach a gradient
    start = states or (x.new_zeros(len(weights) // group, len(counts), spec.hidden_size),) * cell.states
    outputs, finals = [], []
    for side in range(len(weights) // group):
        own = list(weights[side * group : (side + 1) * group])
        own += [x.new_zeros(len(own[0]))] * (0 if spec.bias else 2)
        state = tuple(part[side] for part in start)
        h, final = _loop(cell, block, mask, state, cell.weights(*own), reverse=side == 1)
        outputs.append(h)
        finals.append(final)
    y = gather_rows(
        torch.cat(outputs, dim=2).flatten(0, 1), positions
    )  # (T, B, directions · H) -> (rows, directions · H)
    return y, tuple(torch.stack(parts) for parts in zip(*finals, strict=True))


def _positions_of_rows(spec: Spec, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """The position t·B + b of each row in a (T, B) block, and the lengths (B,)."""
    if spec.order == "ragged":
        assert lengths is not None
        layout = Layout(lengths)
        return layout.time * spec.batch_size + layout.sequence, lengths
    positions = torch.arange(spec.padded_length * spec.batch_size)
    counts = torch.full((spec.batch_size,), spec.padded_length) if lengths is None else lengths
    return positions if spec.order == "time_first" else positions.view(
        spec.padded_length, spec.batch_size
    ).T.flatten(), counts


def _loop(cell: Cell, x: Tensor, mask: Tensor, state: State, weights: Any, *, reverse: bool) -> tuple[Tensor, State]:
    """One direction. A sequence's state does not change where it has no step."""
    outputs = [x.new_zeros(0)] * len(x)
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        new = cell.step(x[t], state, weights)
        state = tuple(torch.where(mask[t], after, before) for after, before in zip(new, state, strict=True))
        outputs[t] = torch.where(mask[t], state[0], 0)
    return torch.stack(outputs) if outputs else x.new_zeros(0, *state[0].shape), state
