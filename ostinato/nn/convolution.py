"""Convolutions over the steps of ragged batches: as a stack, and as the stem of a recurrent stack."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.errors import ConfigError
from ostinato.nn import kernel
from ostinato.nn.layers import Stack
from ostinato.nn.layout import Layout, gather_rows, scatter_rows
from ostinato.nn.linear import runs_native

WINDOW_VALUES_AT_A_TIME = 2**24  # values of the windows that are in memory at once, in inference


class Convolution(nn.Module):
    """A linear map of each step's window, then relu: h_t = max(0, b + Σ_k W_k x_{t+k}); zeros around the sequence.

    The sequences lie end to end with zeros between them, so one convolution processes the whole batch and no window
    reaches into another sequence. In inference on the CPU each window is summed by itself, so its bits are the same in
    any batch (see `Linear`).

    Args:
        input_size: D.
        hidden_size: H, output channels.
        kernel_size: K, steps per window.
        centred: the window is centred on its step; else it ends with its step and sees nothing later.

    Attributes:
        weight: (H, D, K), as in `torch.nn.Conv1d`.

    Shapes:
        values (N, D) with a layout of N steps -> (N, H).

    Raises:
        ConfigError: `centred` with an even `kernel_size`.
    """

    def __init__(self, input_size: int, hidden_size: int, *, kernel_size: int, centred: bool) -> None:
        super().__init__()
        if centred and kernel_size % 2 == 0:
            raise ConfigError(
                f"kernel_size {kernel_size} has no middle step. "
                f"Expected an odd number for centred windows, for example {kernel_size + 1}."
            )
        self.kernel_size, self.centred = kernel_size, centred
        self.weight = nn.Parameter(torch.empty(hidden_size, input_size, kernel_size))
        self.bias = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weights that preserve the variance through relu; biases of 0.

        Source: He et al. (2015), arXiv:1502.01852, section 2.2.
        """
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")
        nn.init.zeros_(self.bias)

    def forward(self, values: Tensor, layout: Layout) -> Tensor:
        weight, before = self._within(int(layout.lengths_on_cpu.max()) if layout.batch_size else 0)
        kernel_size = weight.shape[2]
        rows = torch.arange(len(values), device=values.device) + before * (layout.sequence + 1)
        # `before` zeros around each sequence suffice for its windows; K more rows make a window even in an empty batch
        block = scatter_rows(values, rows, len(values) + before * layout.batch_size + kernel_size)  # (N, D) -> (M, D)
        starts = rows - before
        if torch.is_grad_enabled() or not runs_native(values, weight):
            h = gather_rows(
                F.conv1d(block.t().unsqueeze(0), weight, self.bias).squeeze(0).t(), starts
            )  # (M, D) -> (1, H, M − K + 1) -> (N, H)
        else:
            h = self._sum_separately(
                block.unfold(0, kernel_size, 1), weight, starts
            )  # (M, D) -> (M − K + 1, D, K) -> (N, H)
        return torch.relu(h)

    def start(self, like: Tensor) -> Tensor:
        """The K - 1 steps before a sequence, all zeros, in the dtype and on the device of `like`. (1, K - 1, D)."""
        _, input_size, kernel_size = self.weight.shape
        return like.new_zeros(1, kernel_size - 1, input_size)

    def resume(self, values: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Further steps of one sequence, without gradient; the windows must not be centred.

        Args:
            values: (n, D), at least one step.
            before: (1, K - 1, D), the steps before them.

        Returns:
            (n, H), and the last K - 1 steps.
        """
        assert not self.centred or self.kernel_size == 1, "a centred window reads later steps"
        block = torch.cat([before[0], values])  # (K - 1 + n, D)
        if runs_native(values, self.weight):
            windows = block.unfold(0, self.kernel_size, 1)  # (n, D, K)
            h = self._sum_separately(windows, self.weight, torch.arange(len(values)))
        else:
            h = F.conv1d(block.t().unsqueeze(0), self.weight, self.bias).squeeze(0).t()  # (1, D, n + K - 1) -> (n, H)
        return torch.relu(h), block[len(values) :].unsqueeze(0).clone()

    def _within(self, longest: int) -> tuple[Tensor, int]:
        """The weights that meet a step of a sequence, and how many of them lie before the window's own step.

        The others would be multiplied by the zeros around the sequences.

        Shapes:
            (H, D, K), K at most 2 · longest − 1.
        """
        own = self.kernel_size // 2 if self.centred else self.kernel_size - 1  # the window's own step
        reach = max(longest, 1) - 1
        first = max(own - reach, 0)
        return self.weight[:, :, first : own + reach + 1], own - first

    def _sum_separately(self, windows: Tensor, weight: Tensor, starts: Tensor) -> Tensor:
        """The linear map of the windows at `starts`, each summed by itself. (M, D, K), (H, D, K), (N,) -> (N, H)."""
        weight = weight.flatten(1)  # (H, D, K) -> (H, D·K)
        parts = torch.split(starts, max(1, WINDOW_VALUES_AT_A_TIME // weight.shape[1]))
        return torch.cat([kernel.linear(windows[part].flatten(1), weight, self.bias) for part in parts])

    def extra_repr(self) -> str:
        hidden_size, input_size, _ = self.weight.shape
        return f"{input_size}, {hidden_size}, kernel_size={self.kernel_size}, centred={self.centred}"


class ConvolutionStack(Stack):
    """Convolutions on top of each other; see `Convolution` and `Stack` for the arguments.

    Shapes:
        values (N, D) -> (N, H).
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
    """A convolution, then the maximum of every `pool` steps, as before the recurrent layer of DanQ.

    A sequence of T steps becomes one of T / `pool` steps, rounded up; its last step may cover fewer than `pool`. See
    `Convolution` for the other arguments.

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
        """The weight of each pooled step, divided evenly among the steps it covers. (M,) -> (N,)."""
        pooled = self._pooled(layout)
        step = pooled.starts[layout.sequence] + layout.time // self.pool  # (N,)
        return (weights / self._widths(layout, pooled))[step]

    def _pooled(self, layout: Layout) -> Layout:
        return Layout((layout.lengths_on_cpu + self.pool - 1) // self.pool, layout.lengths.device)

    def _widths(self, layout: Layout, pooled: Layout) -> Tensor:
        """How many steps each pooled step covers. (M,)."""
        return (layout.lengths[pooled.sequence] - pooled.time * self.pool).clamp(max=self.pool)

    def extra_repr(self) -> str:
        return f"pool={self.pool}"
