"""Long short-term memory."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.nn.cells.cell import Cell, Weights
from ostinato.nn.over_time import Gates, State, by_kernel


def lstm_gates(x: Tensor, h: Tensor, weights: Weights) -> Gates:
    """The gates i, f, o by sigmoid, and the candidate g by tanh."""
    sums = F.linear(x, weights.weight_ih, weights.bias_ih) + F.linear(h, weights.weight_hh, weights.bias_hh)
    i, f, g, o = sums.chunk(4, dim=-1)  # (B, 4·H) -> 4 × (B, H)
    return {"i": torch.sigmoid(i), "f": torch.sigmoid(f), "g": torch.tanh(g), "o": torch.sigmoid(o)}


def lstm_step(x: Tensor, state: State, weights: Weights) -> State:
    """Long short-term memory: c' = f·c + i·g and h' = o·tanh(c'), with gates i, f, o by sigmoid and g by tanh.

    Source: Hochreiter & Schmidhuber (1997); the forget gate: Gers, Schmidhuber & Cummins (2000).
    """
    h, c = state
    i, f, g, o = lstm_gates(x, h, weights).values()
    c = f * c + i * g
    h = o * torch.tanh(c)
    return h, c


LSTM = Cell(
    "lstm",
    gates=4,
    states=2,
    step=lstm_step,
    over_time=by_kernel(torch.lstm),
    initial_bias=(1, 1.0),
    activations=lstm_gates,
    native="recurrent",
)
