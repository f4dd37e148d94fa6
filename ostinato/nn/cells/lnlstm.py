"""Long short-term memory with layer norm."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.nn.cells.cell import Cell
from ostinato.nn.over_time import Gates, State, by_steps


class NormWeights(NamedTuple):
    """The parameters of a cell with layer norm; `bias_ih` is the one bias of both norms of the gates' sums."""

    weight_ih: Tensor  # (G·H, D)
    weight_hh: Tensor  # (G·H, H)
    bias_ih: Tensor  # (G·H,)
    gain_ih: Tensor  # (G·H,)
    gain_hh: Tensor  # (G·H,)
    bias_c: Tensor  # (H,)
    gain_c: Tensor  # (H,)


def lnlstm_inputs(x: Tensor, weights: NormWeights) -> Tensor:
    """The input's part of the gates' sums: normalised, with gain and bias. (…, D) -> (…, 4·H)."""
    return F.layer_norm(F.linear(x, weights.weight_ih), weights.bias_ih.shape, weights.gain_ih, weights.bias_ih)


def lnlstm_gates_of(inputs: Tensor, h: Tensor, weights: NormWeights) -> Gates:
    """The gates i, f, o by sigmoid and the candidate g by tanh, from `lnlstm_inputs` and the previous h."""
    sums = inputs + F.layer_norm(F.linear(h, weights.weight_hh), weights.gain_hh.shape, weights.gain_hh)
    i, f, g, o = sums.chunk(4, dim=-1)  # (B, 4·H) -> 4 × (B, H)
    return {"i": torch.sigmoid(i), "f": torch.sigmoid(f), "g": torch.tanh(g), "o": torch.sigmoid(o)}


def lnlstm_gates(x: Tensor, h: Tensor, weights: NormWeights) -> Gates:
    """The gates i, f, o by sigmoid, and the candidate g by tanh."""
    return lnlstm_gates_of(lnlstm_inputs(x, weights), h, weights)


def lnlstm_recur(inputs: Tensor, state: State, weights: NormWeights) -> State:
    """One step, given `lnlstm_inputs`."""
    h, c = state
    i, f, g, o = lnlstm_gates_of(inputs, h, weights).values()
    c = f * c + i * g
    h = o * torch.tanh(F.layer_norm(c, weights.gain_c.shape, weights.gain_c, weights.bias_c))
    return h, c


def lnlstm_step(x: Tensor, state: State, weights: NormWeights) -> State:
    """LSTM with layer norm: gates from LN(W_ih x) + LN(W_hh h) + b; c' = f·c + i·g and h' = o·tanh(LN(c')).

    Each norm spans the sums of all four gates, as in the paper.

    Source: Ba, Kiros & Hinton (2016), arXiv:1607.06450, equations 20 to 22 of the supplement.
    """
    return lnlstm_recur(lnlstm_inputs(x, weights), state, weights)


LNLSTM = Cell(
    "lnlstm",
    gates=4,
    states=2,
    step=lnlstm_step,
    over_time=by_steps(lnlstm_inputs, lnlstm_recur),
    weights=NormWeights,
    initial_bias=(1, 1.0),
    activations=lnlstm_gates,
    native="recurrent",
)
