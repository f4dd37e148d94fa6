"""A linear layer whose answer for one row does not depend on the others."""

import torch
from torch import Tensor, nn

from ostinato.nn import kernel
from ostinato.nn.engines import choose_engine


class Linear(nn.Linear):
    """`torch.nn.Linear`, whose rows in inference on the CPU have the same bits in any batch. (N, D) -> (N, H).

    A BLAS picks its order of summation by the size of the whole product, so that a row's last bits change with the
    rows beside it. Where no gradient is asked for and the native engine is in force, each row is summed on its own.
    """

    def forward(self, values: Tensor) -> Tensor:
        if torch.is_grad_enabled() or not serves(values, self.weight):
            return super().forward(values)
        return kernel.linear(values, self.weight, self.bias)


def serves(values: Tensor, weight: Tensor) -> bool:
    """Whether a module outside the layers goes through the kernel, which sums each row on its own."""
    return not kernel.is_traced(values, weight) and choose_engine("auto", values, (weight,)) == "native"
