"""Floating-point operations of recurrent layers, and the machine's rate in a matrix product."""

import torch

from ostinato.benchmark.timing import Side

MATMUL_SIZE = 2048


def matmul_side(device: torch.device) -> Side:
    """The product of two square matrices of `MATMUL_SIZE` rows, which shows the rate that the machine reaches."""
    a, b = (torch.randn(MATMUL_SIZE, MATMUL_SIZE, device=device) for _ in range(2))
    out = torch.empty_like(a)

    def run() -> None:
        with torch.inference_mode():
            torch.matmul(a, b, out=out)

    return Side(run)


def matmul_flops() -> float:
    """Multiplications and additions of one `matmul_side` run."""
    return 2.0 * MATMUL_SIZE**3


def flops_per_token(
    num_gates: int, input_size: int, hidden_size: int, *, num_layers: int = 1, num_directions: int = 1
) -> float:
    """Multiplications and additions of a forward pass's matrix products per token; training takes three times as many.

    Equation: the sum over layers of 2 · directions · gates · H · (D + H).
    """
    input_sizes = [input_size] + [num_directions * hidden_size] * (num_layers - 1)
    return float(sum(2 * num_directions * num_gates * hidden_size * (size + hidden_size) for size in input_sizes))
