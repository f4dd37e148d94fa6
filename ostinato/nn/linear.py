"""A linear layer whose output for one row does not depend on the other rows."""

import torch
from torch import Tensor, nn

from ostinato.nn import kernel
from ostinato.nn.engines import choose_engine


class Linear(nn.Linear):
    """`torch.nn.Linear` that, in inference on the CPU, gives a row the same bits in any batch. (N, D) -> (N, H).

    A BLAS picks its order of summation by the size of the whole product, so the last bits of a row change with the
    number of rows. With gradients disabled and the native engine in use, each row is summed by itself.
    """

    def reset_parameters(self) -> None:
        if self.weight.numel():
            super().reset_parameters()
        elif self.bias is not None:  # without inputs, the output is the bias
            nn.init.zeros_(self.bias)

    def forward(self, values: Tensor) -> Tensor:
        if torch.is_grad_enabled() or not self.weight.numel() or not runs_native(values, self.weight):
            return super().forward(values)
        return kernel.linear(values, self.weight, self.bias)


def linear_by_row(values: Tensor, weight: Tensor) -> Tensor:
    """`values @ weight`, with the same bits for a row in any batch as in `Linear`. (N, D), (D, H) -> (N, H)."""
    if torch.is_grad_enabled() or not runs_native(values, weight):
        return values @ weight
    return kernel.linear(values, weight.t().contiguous(), None)


def runs_native(values: Tensor, weight: Tensor) -> bool:
    """Whether a module other than a recurrent layer uses the kernel, which sums each row by itself."""
    return not kernel.is_traced(values, weight) and choose_engine("auto", values, (weight,)) == "native"
