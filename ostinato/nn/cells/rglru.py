"""The recurrent layer of Griffin: gates that depend on the input alone, and a learned decay for each unit."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.nn.cells.cell import Cell
from ostinato.nn.over_time import Gates, State, by_scan

EXPONENT = 8.0  # c: log a is between 0 and c·log σ(Λ)
INITIAL_DECAYS = 0.9, 0.999  # the range of σ(Λ)^c, the factor of a wide open recurrence gate


class DecayWeights(NamedTuple):
    """The parameters of `rglru`: gates r, i and candidate n of the input, and Λ, the decay's logit."""

    weight_ih: Tensor  # (3·H, D)
    bias_ih: Tensor  # (3·H,)
    decay: Tensor  # (H,)


def rglru_gates(x: Tensor, h: Tensor | None, weights: DecayWeights) -> Gates:
    """The gates r and i by sigmoid and the candidate n; none depends on h."""
    r, i, n = F.linear(x, weights.weight_ih, weights.bias_ih).chunk(3, dim=-1)  # (B, 3·H) -> 3 × (B, H)
    return {"r": torch.sigmoid(r), "i": torch.sigmoid(i), "n": n}


def rglru_terms(x: Tensor, weights: DecayWeights) -> tuple[Tensor, Tensor]:
    """The factor a and the addend sqrt(1 − a²)·i·n of all steps."""
    r, i, n = rglru_gates(x, None, weights).values()
    log_a = EXPONENT * r * F.logsigmoid(weights.decay)
    square = -torch.expm1(2 * log_a)  # 1 − a², exact also where a is nearly 1
    return torch.exp(log_a), square.clamp(min=torch.finfo(square.dtype).tiny).sqrt() * i * n  # clamp: no 0·∞ backward


def rglru_step(x: Tensor, state: State, weights: DecayWeights) -> State:
    """Real-gated linear recurrent unit: h' = a·h + sqrt(1 − a²)·(i·n) with a = σ(Λ)^(c·r), r, i by sigmoid, c = 8.

    The factor √(1 − a²) keeps the variance of h that of i·n. The paper's input is the candidate n = W_n x + b_n of
    ours: its recurrent block starts with this linear map, and ours lets the gates read x itself.

    Source: De et al. (2024), arXiv:2402.19427, section 2.4.
    """
    (h,) = state
    a, b = rglru_terms(x, weights)
    return (a * h + b,)


def start_decays(weights: DecayWeights) -> None:
    """Draw Λ so that σ(Λ)^c is uniform in [0.9, 0.999]. Source: De et al. (2024), section 2.4."""
    log_a = weights.decay.uniform_(*INITIAL_DECAYS).log() / EXPONENT
    weights.decay.copy_(log_a - torch.log(-torch.expm1(log_a)))  # the logit of a


RGLRU = Cell(
    "rglru",
    gates=3,
    states=1,
    step=rglru_step,
    over_time=by_scan(rglru_terms),
    weights=DecayWeights,
    own_shapes=lambda hidden_size: {"decay": (hidden_size,)},
    initialise=start_decays,
    activations=rglru_gates,
    native="scan",
)
