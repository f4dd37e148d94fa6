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
        return kernel.linear(values, self.weight, self.bias) if serves(values, self.weight) else super().forward(values)


def serves(values: Tensor, weight: Tensor) -> bool:
    """Whether a module goes through the kernel's functions that have no gradient: they sum each row on its own."""
    return not torch.is_grad_enabled() and not kernel.is_traced(values, weight) and choose_engine("auto", values, (weight,)) == "native"
