"""The cells: one step of each recurrence, written as its equation.

Weights have the names and shapes of `torch.nn`: the rows of `weight_ih` and `weight_hh` hold the gates one
after the other, in the order that each cell's equation lists them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Weights(NamedTuple):
    """The parameters of one cell with G gates, D inputs and H units."""

    weight_ih: Tensor  # (G·H, D)
    weight_hh: Tensor  # (G·H, H)
    bias_ih: Tensor  # (G·H,)
    bias_hh: Tensor  # (G·H,)


State = tuple[Tensor, ...]  # (h,) or (h, c), each (B, H)
Gates = dict[str, Tensor]  # by the letters of the equation, each (B, H)


@dataclass(frozen=True)
class Cell:
    """A recurrence.

    Args:
        name: its key in `CELLS`.
        gates: blocks of H rows in the weights.
        states: tensors in the state; the first is the output h.
        step: `(x (B, D), state, weights) -> state`.
        kernel: PyTorch's function for the same recurrence over a padded batch.
        forget_gate: which gate keeps the state and starts open, if the cell has one.
        activations: `(x (n, D), h (n, H), weights) -> {gate: (n, H)}`, h of the step before; its step's own gates, for any
            number of steps at once. None where the cell has no gates.
    """

    name: str
    gates: int
    states: int
    step: Callable[[Tensor, State, Weights], State]
    kernel: Callable[..., tuple[Tensor, ...]]
    forget_gate: int | None = None
    activations: Callable[[Tensor, Tensor, Weights], Gates] | None = None


def rnn_tanh_step(x: Tensor, state: State, weights: Weights) -> State:
    """Elman's: h' = tanh(W_ih x + b_ih + W_hh h + b_hh). Source: Elman (1990)."""
    (h,) = state
    return (torch.tanh(_rnn_sum(x, h, weights)),)


def rnn_relu_step(x: Tensor, state: State, weights: Weights) -> State:
    """Elman's, rectified: h' = relu(W_ih x + b_ih + W_hh h + b_hh). Source: Le, Jaitly & Hinton (2015), arXiv:1504.00941."""
    (h,) = state
    return (torch.relu(_rnn_sum(x, h, weights)),)


def _rnn_sum(x: Tensor, h: Tensor, weights: Weights) -> Tensor:
    return F.linear(x, weights.weight_ih, weights.bias_ih) + F.linear(h, weights.weight_hh, weights.bias_hh)


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


def gru_gates(x: Tensor, h: Tensor, weights: Weights) -> Gates:
    """The gates r, z by sigmoid, and the candidate n by tanh."""
    x_r, x_z, x_n = F.linear(x, weights.weight_ih, weights.bias_ih).chunk(3, dim=-1)  # (B, 3·H) -> 3 × (B, H)
    h_r, h_z, h_n = F.linear(h, weights.weight_hh, weights.bias_hh).chunk(3, dim=-1)
    r = torch.sigmoid(x_r + h_r)
    return {"r": r, "z": torch.sigmoid(x_z + h_z), "n": torch.tanh(x_n + r * h_n)}


def gru_step(x: Tensor, state: State, weights: Weights) -> State:
    """Gated recurrent unit: h' = (1 − z)·n + z·h, with gates r, z by sigmoid and n = tanh(W_in x + b_in + r·(W_hn h + b_hn)).

    Source: Cho et al. (2014), arXiv:1406.1078. As in PyTorch and cuDNN, r acts after the recurrent product and
    z keeps the old state; the paper has r before the product (ONNX: `linear_before_reset=0`).
    """
    (h,) = state
    _, z, n = gru_gates(x, h, weights).values()
    return ((1 - z) * n + z * h,)


CELLS = {
    "rnn_tanh": Cell("rnn_tanh", gates=1, states=1, step=rnn_tanh_step, kernel=torch.rnn_tanh),
    "rnn_relu": Cell("rnn_relu", gates=1, states=1, step=rnn_relu_step, kernel=torch.rnn_relu),
    "lstm": Cell("lstm", gates=4, states=2, step=lstm_step, kernel=torch.lstm, forget_gate=1, activations=lstm_gates),
    "gru": Cell("gru", gates=3, states=1, step=gru_step, kernel=torch.gru, activations=gru_gates),
}
