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
        if torch.is_grad_enabled() or kernel.is_traced() or choose_engine("auto", values, (self.weight,)) != "native":
            return super().forward(values)
        return kernel.linear(values, self.weight, self.bias)
