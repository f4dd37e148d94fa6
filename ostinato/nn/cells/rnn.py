"""Elman's network: one recurrent sum and a nonlinearity."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.nn.cells.cell import Cell, Weights
from ostinato.nn.over_time import State, by_kernel


def rnn_tanh_step(x: Tensor, state: State, weights: Weights) -> State:
    """Elman RNN: h' = tanh(W_ih x + b_ih + W_hh h + b_hh). Source: Elman (1990)."""
    (h,) = state
    return (torch.tanh(_rnn_sum(x, h, weights)),)


def rnn_relu_step(x: Tensor, state: State, weights: Weights) -> State:
    """Elman RNN with relu: h' = relu(W_ih x + b_ih + W_hh h + b_hh).

    Source: Le, Jaitly & Hinton (2015), arXiv:1504.00941.
    """
    (h,) = state
    return (torch.relu(_rnn_sum(x, h, weights)),)


def _rnn_sum(x: Tensor, h: Tensor, weights: Weights) -> Tensor:
    return F.linear(x, weights.weight_ih, weights.bias_ih) + F.linear(h, weights.weight_hh, weights.bias_hh)


RNN_TANH = Cell(
    "rnn_tanh", gates=1, states=1, step=rnn_tanh_step, over_time=by_kernel(torch.rnn_tanh), native="recurrent"
)
RNN_RELU = Cell(
    "rnn_relu", gates=1, states=1, step=rnn_relu_step, over_time=by_kernel(torch.rnn_relu), native="recurrent"
)
