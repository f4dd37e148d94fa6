"""Convolutions over the steps of ragged batches: as a stack of their own, and as the front end of a recurrent one."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.errors import ConfigError
from ostinato.nn import kernel
from ostinato.nn.layers import Stack
from ostinato.nn.layout import Layout, place, take
from ostinato.nn.linear import serves

WINDOW_VALUES_AT_A_TIME = 2**24  # of windows that lie in memory together, in inference


class Convolution(nn.Module):
    """A linear map of each step's window, then relu: h_t = max(0, b + Σ_k W_k x_{t+k}), zeros before and after the sequence.

    The sequences lie end to end with zeros between them, so that no window reaches into another sequence, and one
    convolution serves the batch. In inference on the CPU each window is summed on its own: its bits are the same in
    any batch (see `Linear`).

    Args:
        input_size: D.
        hidden_size: H, the channels that come out.
        kernel_size: K, steps in a window.
        centred: the window has the step in its middle; else it ends with it, and nothing later is seen.

    Attributes:
        weight: (H, D, K), as `torch.nn.Conv1d` has it.

    Shapes:
        values (N, D) with a layout of N steps -> (N, H).

    Raises:
        ConfigError: a centred window of an even number of steps.
    """

    def __init__(self, input_size: int, hidden_size: int, *, kernel_size: int, centred: bool) -> None:
        super().__init__()
        if centred and kernel_size % 2 == 0:
            raise ConfigError(
                f"kernel_size {kernel_size} has no step in its middle. Expected an odd number for centred windows, as {kernel_size + 1}."
            )
        self.kernel_size, self.centred = kernel_size, centred
        self.weight = nn.Parameter(torch.empty(hidden_size, input_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weights that keep the values' size through relu, zero biases. Source: He et al. (2015), arXiv:1502.01852, section 2.2."""
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")
        nn.init.zeros_(self.bias)

    def forward(self, values: Tensor, layout: Layout) -> Tensor:
        before = self.kernel_size // 2 if self.centred else self.kernel_size - 1  # steps of the window before its own
        rows = torch.arange(len(values), device=values.device) + before * (layout.sequence + 1)
        # as many zeros after each sequence are never fewer than its windows need; K more make a window even where no step is
        block = place(values, rows, len(values) + before * layout.batch_size + self.kernel_size)  # (N, D) -> (M, D)
        starts = rows - before
        if torch.is_grad_enabled() or not serves(values, self.weight):
            h = take(
                F.conv1d(block.t().unsqueeze(0), self.weight, self.bias).squeeze(0).t(), starts
            )  # (M, D) -> (1, H, M − K + 1) -> (N, H)
        else:
            h = self._each_on_its_own(
                block.unfold(0, self.kernel_size, 1), starts
            )  # (M, D) -> (M − K + 1, D, K) -> (N, H)
        return torch.relu(h)

    def _each_on_its_own(self, windows: Tensor, starts: Tensor) -> Tensor:
        """The sums of the windows at these places, each in the same order whatever the others. (M, D, K), (N,) -> (N, H)."""
        weight = self.weight.flatten(1)  # (H, D, K) -> (H, D·K)
        parts = torch.split(starts, max(1, WINDOW_VALUES_AT_A_TIME // weight.shape[1]))
        return torch.cat([kernel.linear(windows[part].flatten(1), weight, self.bias) for part in parts])

    def extra_repr(self) -> str:
        hidden_size, input_size, _ = self.weight.shape
        return f"{input_size}, {hidden_size}, kernel_size={self.kernel_size}, centred={self.centred}"


class ConvolutionStack(Stack):
    """Convolutions on top of each other; see `Convolution` and `Stack` for the arguments.

    Shapes:
        values (N, D) -> (N, H), whether the windows are centred or not.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        kernel_size: int,
        centred: bool,
        num_layers: int = 1,
        residual: bool = False,
        layer_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        sizes = [input_size] + [hidden_size] * (num_layers - 1)
        layers = [Convolution(size, hidden_size, kernel_size=kernel_size, centred=centred) for size in sizes]
        super().__init__(layers, hidden_size, residual=residual, layer_norm=layer_norm, dropout=dropout)


class ConvStem(nn.Module):
    """A convolution, then the largest of each `pool` steps: what DanQ has before its recurrent layer.

    A sequence of T steps becomes one of T / `pool`, rounded up: the last step may stand for fewer, and no sequence
    vanishes. See `Convolution` for the other arguments.

    Shapes:
        values (N, D) and their layout -> (M, H) and the layout of M steps.

    Source: Quang & Xie (2016), Nucleic Acids Research 44:e107.
    """

    def __init__(self, input_size: int, hidden_size: int, *, kernel_size: int, centred: bool, pool: int = 1) -> None:
        super().__init__()
        self.convolution = Convolution(input_size, hidden_size, kernel_size=kernel_size, centred=centred)
        self.output_size = hidden_size
        self.pool = pool

    def forward(self, values: Tensor, layout: Layout) -> tuple[Tensor, Layout]:
        h = self.convolution(values, layout)
        if self.pool == 1:
            return h, layout
        pooled = self._pooled(layout)
        return torch.segment_reduce(
            h, "max", lengths=self._widths(layout, pooled), axis=0, unsafe=True
        ), pooled  # (N, H) -> (M, H)

    def spread(self, weights: Tensor, layout: Layout) -> Tensor:
        """What each pooled step weighs, shared evenly among the steps that it stands for. (M,) -> (N,)."""
        pooled = self._pooled(layout)
        step = pooled.starts[layout.sequence] + layout.time // self.pool  # (N,)
        return (weights / self._widths(layout, pooled))[step]

    def _pooled(self, layout: Layout) -> Layout:
        return Layout((layout.lengths_on_cpu + self.pool - 1) // self.pool, layout.lengths.device)

    def _widths(self, layout: Layout, pooled: Layout) -> Tensor:
        """How many steps each pooled step stands for. (M,)."""
        return (layout.lengths[pooled.sequence] - pooled.time * self.pool).clamp(max=self.pool)

    def extra_repr(self) -> str:
        return f"pool={self.pool}"
