"""xLSTM's cell with scalar memory."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.nn.cells.cell import Cell
from ostinato.nn.over_time import Gates, State, by_steps

HEADS = 4  # where H divides by it, else one head


class HeadWeights(NamedTuple):
    """The parameters of a cell whose units read the h of their own head alone."""

    weight_ih: Tensor  # (G·H, D)
    weight_hh: Tensor  # (G·H, H / heads): the columns are the units of the row's own head
    bias_ih: Tensor  # (G·H,)


def slstm_inputs(x: Tensor, weights: HeadWeights) -> Tensor:
    """The input's part of the gates' sums. (…, D) -> (…, 4·H)."""
    return F.linear(x, weights.weight_ih, weights.bias_ih)


def slstm_sums(inputs: Tensor, h: Tensor, weights: HeadWeights) -> tuple[Tensor, ...]:
    """The sums of the gates i, f, z, o, each (B, H), from `slstm_inputs` and the previous h."""
    size = weights.weight_hh.shape[1]
    R = weights.weight_hh.view(4, -1, size, size)  # (4·H, H / heads) -> (gate, head, row, column)
    recurrent = torch.einsum("bnk,gnjk->bgnj", h.view(len(h), -1, size), R).flatten(1)  # -> (B, 4·H)
    return (inputs + recurrent).chunk(4, dim=-1)


def slstm_gates(x: Tensor, h: Tensor, weights: HeadWeights) -> Gates:
    """The gate i by exp, the gates f and o by sigmoid, and the candidate z by tanh."""
    i, f, z, o = slstm_sums(slstm_inputs(x, weights), h, weights)
    return {"i": torch.exp(i), "f": torch.sigmoid(f), "z": torch.tanh(z), "o": torch.sigmoid(o)}


def slstm_recur(inputs: Tensor, state: State, weights: HeadWeights) -> State:
    """One step, given `slstm_inputs`."""
    h, c, n, m = state
    log_i, f, z, o = slstm_sums(inputs, h, weights)
    log_f = torch.where(n == 0, -torch.inf, F.logsigmoid(f) + m)  # n = 0: nothing to keep before the first step
    m = torch.maximum(log_f, log_i)
    i, f = torch.exp(log_i - m), torch.exp(log_f - m)
    c = f * c + i * torch.tanh(z)
    n = f * n + i
    h = torch.sigmoid(o) * c / n
    return h, c, n, m


def slstm_step(x: Tensor, state: State, weights: HeadWeights) -> State:
    """LSTM with an exponential input gate: c' = f·c + i·z, n' = f·n + i, h' = o·c'/n'.

    i = exp(ĩ), f and o by sigmoid, z by tanh. The state holds c and n divided by e^m with m' = max(log f + m, ĩ), so
    that neither overflows, and n ≥ 1; h does not depend on m. The units are divided into 4 heads if their number
    divides by 4, else they are one head; the recurrent weights are block-diagonal.

    Source: Beck et al. (2024), arXiv:2405.04517, section 2.2, with the forget gate by sigmoid as in its code. Here m
    starts at -∞, which its code does for whole batches; the block around the cell is left out.
    """
    return slstm_recur(slstm_inputs(x, weights), state, weights)


def _shapes(hidden_size: int) -> dict[str, tuple[int, ...]]:
    return {"weight_hh": (4 * hidden_size, hidden_size // (1 if hidden_size % HEADS else HEADS))}


def _initialise(weights: HeadWeights) -> None:
    """Recurrent weights of 0; in each head, biases of the forget gate from 5 down to -7.

    Source: the code of Beck et al., `powerlaw_blockdependent` for the first block.
    """
    weights.weight_hh.zero_()
    hidden_size, size = weights.weight_hh.shape[0] // 4, weights.weight_hh.shape[1]
    spread = torch.linspace(0, 1, size, dtype=weights.bias_ih.dtype, device=weights.bias_ih.device)
    weights.bias_ih[hidden_size : 2 * hidden_size] = (5 - 12 * spread**0.3).repeat(hidden_size // size)


SLSTM = Cell(
    "slstm",
    gates=4,
    states=4,
    step=slstm_step,
    over_time=by_steps(slstm_inputs, slstm_recur),
    weights=HeadWeights,
    own_shapes=_shapes,
    initialise=_initialise,
    activations=slstm_gates,
    native="recurrent",
)
