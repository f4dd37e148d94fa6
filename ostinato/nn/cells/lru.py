"""The linear recurrent unit: rotating and decaying complex states, whose factors do not depend on the input."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.nn.cells.cell import Cell
from ostinato.nn.over_time import State, scan

INITIAL_SIZES = 0.9, 0.999  # the ring of the initial |λ|
INITIAL_ANGLES = 0.0, 2 * math.pi  # of the initial λ, in radians


class RingWeights(NamedTuple):
    """The parameters of `lru`, with complex matrices as their real parts and then their imaginary ones."""

    weight_ih: Tensor  # (2·H, D): Re B, Im B
    bias_ih: Tensor  # (2·H,)
    nu_log: Tensor  # (H,)
    theta_log: Tensor  # (H,)
    gamma_log: Tensor  # (H,)
    weight_ho: Tensor  # (H, 2·H): Re C, −Im C


def lru_factor(weights: RingWeights) -> tuple[Tensor, Tensor]:
    """The real and the imaginary part of λ. (H,) each."""
    size, angle = torch.exp(-torch.exp(weights.nu_log)), torch.exp(weights.theta_log)
    return size * torch.cos(angle), size * torch.sin(angle)


def lru_addend(x: Tensor, weights: RingWeights) -> tuple[Tensor, Tensor]:
    """The real and the imaginary part of γ·(B x + b). (…, D) -> (…, H) each."""
    real, imaginary = F.linear(x, weights.weight_ih, weights.bias_ih).chunk(2, dim=-1)
    gamma = torch.exp(weights.gamma_log)
    return gamma * real, gamma * imaginary


def lru_output(real: Tensor, imaginary: Tensor, weights: RingWeights) -> Tensor:
    """The output gelu(Re(C h)). (…, H), (…, H) -> (…, H)."""
    return F.gelu(F.linear(torch.cat([real, imaginary], dim=-1), weights.weight_ho), approximate="tanh")


def lru_step(x: Tensor, state: State, weights: RingWeights) -> State:
    """Linear recurrent unit: h' = λ·h + γ·(B x + b) and y = gelu(Re(C h')), with λ = exp(−exp(ν) + i·exp(θ)), γ > 0.

    h has H complex numbers. The state is y, which the next step does not read, and the real and the imaginary part
    of h. |λ| < 1 for any ν, so h is bounded if x is.

    The gelu is that of the paper's block, in the approximation by tanh: without it, layers on top of each other would
    be one linear filter. The block's D·u is the `residual` of a stack; its gated linear unit is not part of the cell.

    Source: Orvieto et al. (2023), arXiv:2303.06349, section 3 and figure 1; here B has a bias.
    """
    _, real, imaginary = state
    a, b = lru_factor(weights)
    c, d = lru_addend(x, weights)
    real, imaginary = a * real - b * imaginary + c, b * real + a * imaginary + d
    return lru_output(real, imaginary, weights), real, imaginary


def lru_over_time(x: Tensor, state: State, weights: RingWeights) -> Tensor:
    """All steps by a scan of complex numbers. (T, B, D) -> (T, B, H)."""
    _, *start = state
    c, d = lru_addend(x, weights)
    wide = torch.promote_types(c.dtype, torch.float32)  # there are no complex numbers of 16 bits
    addend, factor, before = (
        torch.complex(*(part.to(wide) for part in parts)) for parts in ((c, d), lru_factor(weights), start)
    )
    h = scan(factor.expand_as(addend), addend, before)
    return lru_output(h.real.to(c.dtype), h.imag.to(c.dtype), weights)


def start_on_a_ring(weights: RingWeights) -> None:
    """Draw λ uniformly on a ring, B and C from normal distributions, and set γ so that h has the variance of B x.

    Source: Orvieto et al. (2023), section 3.2 (lemma 3.2), section 3.3 and appendix A.
    """
    low, high = INITIAL_SIZES
    square = weights.nu_log.uniform_(low**2, high**2)  # |λ|²: uniform on the ring's area
    weights.gamma_log.copy_(0.5 * torch.log(1 - square))
    weights.nu_log.copy_(torch.log(-0.5 * torch.log(square)))
    weights.theta_log.uniform_(*INITIAL_ANGLES).log_()
    weights.weight_ih.normal_(std=(2 * weights.weight_ih.shape[1]) ** -0.5)
    weights.weight_ho.normal_(std=weights.weight_ho.shape[0] ** -0.5)


LRU = Cell(
    "lru",
    gates=2,
    states=3,
    step=lru_step,
    over_time=lru_over_time,
    weights=RingWeights,
    own_shapes=lambda hidden_size: {
        "nu_log": (hidden_size,),
        "theta_log": (hidden_size,),
        "gamma_log": (hidden_size,),
        "weight_ho": (hidden_size, 2 * hidden_size),
    },
    initialise=start_on_a_ring,
    native="scan",
)
