"""Minimal cells: their gates depend on the input alone, so that the recurrence is linear in h."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.nn.cells.cell import Cell
from ostinato.nn.over_time import Gates, State, by_scan


class ScanWeights(NamedTuple):
    """The parameters of a cell whose gates depend on the input alone."""

    weight_ih: Tensor  # (G·H, D)
    bias_ih: Tensor  # (G·H,)


def positive(x: Tensor) -> Tensor:
    """g(x) = x + 0.5 for x ≥ 0, else sigmoid(x). Source: Feng et al. (2024), appendix B.3."""
    return torch.where(x >= 0, x + 0.5, torch.sigmoid(x))


def mingru_gates(x: Tensor, h: Tensor | None, weights: ScanWeights) -> Gates:
    """The gate z by sigmoid and the candidate n by g; neither depends on h."""
    z, n = F.linear(x, weights.weight_ih, weights.bias_ih).chunk(2, dim=-1)  # (B, 2·H) -> 2 × (B, H)
    return {"z": torch.sigmoid(z), "n": positive(n)}


def mingru_step(x: Tensor, state: State, weights: ScanWeights) -> State:
    """Minimal gated recurrent unit: h' = (1 − z)·h + z·n, with z by sigmoid and n = g(W_n x + b_n).

    Gate and candidate depend on the input alone, so the recurrence is linear in h and all steps can be computed at
    once. With g (`positive`) h stays positive, so it cannot flip a sign and cannot learn parity.

    Source: Feng et al. (2024), arXiv:2410.01201, section 3.1 and appendix B; here the initial state is zero.
    """
    (h,) = state
    z, n = mingru_gates(x, h, weights).values()
    return ((1 - z) * h + z * n,)


def mingru_terms(x: Tensor, weights: ScanWeights) -> tuple[Tensor, Tensor]:
    """The factor 1 − z and the addend z·n of all steps, for the scan."""
    z, n = mingru_gates(x, None, weights).values()
    return 1 - z, z * n


def minlstm_gates(x: Tensor, h: Tensor | None, weights: ScanWeights) -> Gates:
    """The gates f and i by sigmoid, divided by their sum, and the candidate n by g; none depends on h."""
    f, i, n = F.linear(x, weights.weight_ih, weights.bias_ih).chunk(3, dim=-1)  # (B, 3·H) -> 3 × (B, H)
    share = F.logsigmoid(f) - F.logsigmoid(i)  # its sigmoid is σ(f) / (σ(f) + σ(i)), even when both underflow
    return {"f": torch.sigmoid(share), "i": torch.sigmoid(-share), "n": positive(n)}


def minlstm_step(x: Tensor, state: State, weights: ScanWeights) -> State:
    """Minimal long short-term memory: h' = f·h + i·n, with gates f and i that sum to one and n = g(W_n x + b_n).

    Source: Feng et al. (2024), arXiv:2410.01201, section 3.2 and appendix B; here the initial state is zero.
    """
    (h,) = state
    f, i, n = minlstm_gates(x, h, weights).values()
    return (f * h + i * n,)


def minlstm_terms(x: Tensor, weights: ScanWeights) -> tuple[Tensor, Tensor]:
    """The factor f and the addend i·n of all steps, for the scan."""
    f, i, n = minlstm_gates(x, None, weights).values()
    return f, i * n


MINGRU = Cell(
    "mingru",
    gates=2,
    states=1,
    step=mingru_step,
    over_time=by_scan(mingru_terms),
    weights=ScanWeights,
    initial_bias=(0, -1.0),
    activations=mingru_gates,
    native="scan",
)
MINLSTM = Cell(
    "minlstm",
    gates=3,
    states=1,
    step=minlstm_step,
    over_time=by_scan(minlstm_terms),
    weights=ScanWeights,
    initial_bias=(0, 1.0),
    activations=minlstm_gates,
    native="scan",
)
