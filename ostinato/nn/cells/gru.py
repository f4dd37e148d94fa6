"""The gated recurrent unit."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.nn.cells.cell import Cell, Weights
from ostinato.nn.over_time import Gates, State, by_kernel


def gru_gates(x: Tensor, h: Tensor, weights: Weights) -> Gates:
    """The gates r, z by sigmoid, and the candidate n by tanh."""
    x_r, x_z, x_n = F.linear(x, weights.weight_ih, weights.bias_ih).chunk(3, dim=-1)  # (B, 3·H) -> 3 × (B, H)
    h_r, h_z, h_n = F.linear(h, weights.weight_hh, weights.bias_hh).chunk(3, dim=-1)
    r = torch.sigmoid(x_r + h_r)
    return {"r": r, "z": torch.sigmoid(x_z + h_z), "n": torch.tanh(x_n + r * h_n)}


def gru_step(x: Tensor, state: State, weights: Weights) -> State:
    """Gated recurrent unit: h' = (1 − z)·n + z·h with n = tanh(W_in x + b_in + r·(W_hn h + b_hn)), r, z by sigmoid.

    Source: Cho et al. (2014), arXiv:1406.1078. As in PyTorch and cuDNN, r applies after the recurrent product and z
    keeps the old state; the paper applies r before the product (ONNX: `linear_before_reset=0`).
    """
    (h,) = state
    _, z, n = gru_gates(x, h, weights).values()
    return ((1 - z) * n + z * h,)


GRU = Cell(
    "gru",
    gates=3,
    states=1,
    step=gru_step,
    over_time=by_kernel(torch.gru),
    activations=gru_gates,
    native="recurrent",
)
