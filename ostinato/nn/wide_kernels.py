"""A linear model of convolution kernels and summary statistics of numeric series: MiniRocket's features.

Source: Dempster, Schmidt & Webb (2021), MiniRocket, arXiv:2012.08791. We depart from it where series differ in length:
all share the dilations of the longest, a series that is too short for a whole window is padded, and its own length is
what proportions are taken of. Summary statistics are added, since the kernels do not see the level of a series.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ostinato.errors import RunError
from ostinato.nn.layout import Layout
from ostinato.nn.linear import linear_by_row

TAPS = 9  # values in a window
KERNELS = tuple(combinations(range(TAPS), 3))  # the three taps of weight 2; the others have weight −1
MAX_DILATIONS = 32
LARGEST = 2**20  # dilation, and number of biases of a kernel, in a model file
STATISTICS = 7  # for each channel: mean, deviation, minimum, maximum, first, last, mean absolute step
VALUES_AT_A_TIME = 2**21  # of convolutions in memory
GOLDEN = (5**0.5 + 1) / 2


class WideKernels(nn.Module):
    """Outputs linear in MiniRocket's features and summary statistics: Σₓ (v(x) − mean(x)) / std(x) · weight[x].

    A kernel has nine weights, three of them 2 and six −1, and reads every d-th step, or the sum of several channels.
    A feature is the share of windows whose convolution is above a bias. Each kernel has several dilations d, from 1 to
    an eighth of the longest training series, and for each several biases: quantiles of its convolution with a random
    training series. Every second kernel reads whole windows only; the others see zeros beyond the ends of a series.

    Args:
        num_outputs: C.
        channels: of a series.

    Attributes:
        dilations: (J,) int64.
        sizes: (J,) int64, biases of each kernel at each dilation.
        channel_sets: (J, 84, channels) bool, the channels that a kernel at a dilation adds up.
        biases: (K,) float32, ordered by dilation, then by kernel.
        mean, std: (F,) float32 of each feature in the training series; F = K + 7 · channels.
        weight: (F, C), not trained by gradients.

    Shapes:
        values (N, channels) and a layout of B series -> (B, C).
    """

    dilations: Tensor
    sizes: Tensor
    channel_sets: Tensor
    biases: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, num_outputs: int, *, channels: int) -> None:
        super().__init__()
        self.channels = channels
        for name in ("dilations", "sizes"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.int64))
        self.register_buffer("channel_sets", torch.zeros(0, len(KERNELS), channels, dtype=torch.bool))
        for name in ("biases", "mean", "std"):
            self.register_buffer(name, torch.zeros(0))
        self.weight = nn.Parameter(torch.zeros(0, num_outputs), requires_grad=False)

    def forward(self, values: Tensor, layout: Layout) -> Tensor:
        return linear_by_row(self.features(values, layout), self.weight)

    @torch.no_grad()
    def features(self, values: Tensor, layout: Layout) -> Tensor:
        """The standardised features. Returns (B, F)."""
        raw = torch.from_numpy(self._raw(values, layout)).to(values.device)
        return (raw - self.mean) / self.std

    @torch.no_grad()
    def fit(self, values: Tensor, lengths: Tensor, *, most: int, seed: int) -> Tensor:
        """Draw kernels and biases, and measure mean and deviation of their features. The weights become zeros.

        Args:
            values: (N, channels) of all series, end to end.
            lengths: (B,)
            most: features of kernels; at least 84.
            seed: draws channels, and the series that the biases are quantiles of.

        Returns:
            The standardised features of the series, (B, F).
        """
        rng = np.random.default_rng(seed)
        dilations, sizes = _dilations(int(lengths.max()), max(most // len(KERNELS), 1))
        sets = _channel_sets(rng, len(dilations), self.channels)
        self._resize(len(dilations), len(KERNELS) * int(sizes.sum()))
        for buffer, found in ((self.dilations, dilations), (self.sizes, sizes), (self.channel_sets, sets)):
            buffer.copy_(torch.from_numpy(found))
        self.biases.copy_(torch.from_numpy(self._draw_biases(values, lengths, rng)))
        raw = torch.from_numpy(self._raw(values, Layout(lengths)))
        std, mean = torch.std_mean(raw.double(), dim=0, correction=0)
        is_constant = raw.amin(dim=0) == raw.amax(dim=0)
        self.mean.copy_(mean)
        self.std.copy_(torch.where(is_constant | (std == 0), 1.0, std))
        return (raw - self.mean) / self.std

    def contributions(self, values: Tensor, layout: Layout) -> Tensor:
        """What each step adds to the outputs, compared with a series of zeros of the same length. (N, …) -> (N, C).

        A window's contribution is that of the step in its middle.
        """
        K = len(self.biases)
        slopes = (self.weight / self.std.unsqueeze(1)).double().cpu().numpy()  # (F, C)
        shares = statistics_by_step(values.cpu(), Layout(layout.lengths_on_cpu)).numpy() @ slopes[K:]
        for series in _groups(values, layout):
            of, time = _ragged_indices(series.lengths)
            for found in self._convolutions(series):
                by_kernel = slopes[found.features].reshape(len(KERNELS), -1, slopes.shape[1])
                shares[series.steps] += _shares_by_step(found, by_kernel)[of, time]
        return torch.from_numpy(shares).to(self.weight)

    def prepare_for(self, tensors: Mapping[str, Tensor]) -> None:
        """Make room for the kernels of a stored state, by the names that they have here.

        Raises:
            RunError: dilations, sizes and biases do not fit each other.
        """
        names = ("dilations", "sizes", "biases", "channel_sets")
        dilations, sizes, biases, sets = (tensors.get(name) for name in names)
        if dilations is None or sizes is None or biases is None or sets is None:
            return  # these are refused as weights that are missing, like those of another shape or type
        if dilations.is_floating_point() or sizes.is_floating_point() or sets.dim() == 0:
            return
        if dilations.shape != sizes.shape or len(KERNELS) * int(sizes.sum()) != biases.numel():
            raise RunError(f"{biases.numel()} biases do not fit the dilations and sizes of the kernels. Train again.")
        for name, found in (("dilations", dilations), ("sizes", sizes)):
            if not ((found >= 1) & (found <= LARGEST)).all():
                raise RunError(
                    f"the {name} of the kernels contain {int(found.min())}, expected 1 or more. Train again."
                )
        if not sets.any(dim=-1).all():
            raise RunError("the channel_sets of the kernels contain an empty set. Train again.")
        self._resize(len(dilations), biases.numel())

    def _resize(self, num_dilations: int, num_biases: int) -> None:
        num_features = num_biases + STATISTICS * self.channels
        self.dilations, self.sizes = (each.new_ones(num_dilations) for each in (self.dilations, self.sizes))
        self.channel_sets = self.channel_sets.new_zeros(num_dilations, len(KERNELS), self.channels)
        self.biases = self.biases.new_zeros(num_biases)
        self.mean, self.std = self.mean.new_zeros(num_features), self.std.new_ones(num_features)
        outputs = self.weight.shape[1]
        self.weight = nn.Parameter(self.weight.new_zeros(num_features, outputs), requires_grad=False)

    def _raw(self, values: Tensor, layout: Layout) -> np.ndarray:
        """The features before standardisation. Returns (B, F) float32."""
        raw = np.empty((layout.batch_size, len(self.mean)), np.float32)
        for series in _groups(values, layout):
            for found in self._convolutions(series):
                raw[series.rows, found.features] = _shares_above(found)
        by_step = statistics_by_step(values.cpu(), Layout(layout.lengths_on_cpu))
        of_series = by_step.new_zeros(layout.batch_size, by_step.shape[1]).index_add(0, layout.sequence.cpu(), by_step)
        raw[:, len(self.biases) :] = of_series.numpy()
        return raw

    def _convolutions(self, series: "_Series") -> "Iterator[_Convolutions]":
        """The convolutions of all kernels with some series, one dilation after the other."""
        biases, start = self.biases.cpu().numpy(), 0
        settings = (each.tolist() for each in (self.dilations, self.sizes))
        for j, (dilation, size) in enumerate(zip(*settings, strict=True)):
            stop = start + len(KERNELS) * size
            values, windows = _convolve(series, dilation, self.channel_sets[j].cpu().numpy(), j)
            yield _Convolutions(values, windows, biases[start:stop].reshape(len(KERNELS), size), slice(start, stop))
            start = stop

    def _draw_biases(self, values: Tensor, lengths: Tensor, rng: np.random.Generator) -> np.ndarray:
        """Quantiles of each kernel's convolution with a random series; the quantiles cover 0 to 1 evenly. (K,)."""
        quantiles = np.arange(1, len(self.biases) + 1) * GOLDEN % 1
        biases, start = np.empty(len(self.biases), np.float32), 0
        ends = lengths.cumsum(0)
        for j, (dilation, size) in enumerate(zip(self.dilations.tolist(), self.sizes.tolist(), strict=True)):
            sets = self.channel_sets[j].numpy()
            for kernel, row in enumerate(rng.integers(len(lengths), size=len(KERNELS)).tolist()):
                of_row = values[ends[row] - lengths[row] : ends[row], sets[kernel]]
                (series,) = _groups(of_row, Layout(lengths[row : row + 1]))
                convolved, _ = _convolve(series, dilation, np.ones_like(sets[:, sets[kernel]]), j, kernels=(kernel,))
                ordered = np.sort(convolved[np.isfinite(convolved)])
                places = quantiles[start : start + size] * (len(ordered) - 1)
                biases[start : start + size] = np.interp(places, np.arange(len(ordered)), ordered)
                start += size
        return biases


class _Series(NamedTuple):
    """Some series of a batch, padded to the longest of them.

    Args:
        rows: (b,) the series in the batch.
        lengths: (b,)
        padded: (channels, b, T) float32, zeros beyond each length.
        steps: (n,) the rows of their steps in the batch's values, series after series.
    """

    rows: np.ndarray
    lengths: np.ndarray
    padded: np.ndarray
    steps: np.ndarray


class _Convolutions(NamedTuple):
    """The convolutions of all kernels at one dilation with some series.

    Args:
        values: (84, b, T) float32, −∞ where there is no window.
        windows: (84, b) the number of windows.
        biases: (84, S).
        features: the columns of the kernels' shares above the biases.
    """

    values: np.ndarray
    windows: np.ndarray
    biases: np.ndarray
    features: slice


def _dilations(longest: int, sizes: int) -> tuple[np.ndarray, np.ndarray]:
    """Dilations, evenly on a logarithmic scale, and the biases of each kernel at each of them: `sizes` in all."""
    most = min(sizes, MAX_DILATIONS)
    exponent = np.log2(max((longest - 1) / (TAPS - 1), 1))
    dilations, counts = np.unique(np.logspace(0, exponent, most, base=2).astype(np.int64), return_counts=True)
    counts = counts * sizes // most
    counts[: sizes - counts.sum()] += 1
    return dilations, counts


def _channel_sets(rng: np.random.Generator, num_dilations: int, channels: int) -> np.ndarray:
    """The channels that each kernel adds up: mostly few, at most nine. Returns (J, 84, channels) bool."""
    counts = 2 ** rng.uniform(0, np.log2(min(channels, 9) + 1), (num_dilations, len(KERNELS)))
    ranks = rng.random((num_dilations, len(KERNELS), channels)).argsort(axis=2).argsort(axis=2)
    sets: np.ndarray = ranks < counts.astype(int)[..., None]
    return sets


def _groups(values: Tensor, layout: Layout) -> Iterator[_Series]:
    """All series of a batch, in groups of similar length that fit in memory."""
    flat = values.float().cpu().numpy().reshape(layout.num_steps, -1)
    lengths = layout.lengths_on_cpu.numpy()
    starts = lengths.cumsum() - lengths
    order = lengths.argsort(kind="stable")[::-1]
    while len(order):
        longest = max(int(lengths[order[0]]), 1)
        rows = order[: max(VALUES_AT_A_TIME // (len(KERNELS) * longest), 1)]
        order = order[len(rows) :]
        of, time = _ragged_indices(lengths[rows])
        steps = starts[rows][of] + time
        padded = np.zeros((flat.shape[1], len(rows), longest), np.float32)
        padded[:, of, time] = flat[steps].T
        yield _Series(rows, lengths[rows], padded, steps)


def _ragged_indices(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sequence and the position of each of n steps. (b,) -> (n,), (n,)."""
    of = np.repeat(np.arange(len(lengths)), lengths)
    return of, np.arange(len(of)) - (lengths.cumsum() - lengths)[of]


def _convolve(
    series: _Series, dilation: int, channel_sets: np.ndarray, parity: int, *, kernels: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Convolve series with all kernels, or some, at a dilation. Returns values (84, b, T) and windows (84, b)."""
    chosen = range(len(KERNELS)) if kernels is None else kernels
    _, b, T = series.padded.shape
    margin = TAPS // 2 * dilation
    wide = np.pad(series.padded, ((0, 0), (0, 0), (margin, margin)))
    taps = [slice(tap * dilation, tap * dilation + T) for tap in range(TAPS)]
    every_tap = wide[..., taps[0]].copy()  # each step's window, added up
    for tap in taps[1:]:
        every_tap += wide[..., tap]
    times = np.arange(T)
    inside = times < series.lengths[:, None]  # (b, T)
    is_whole = inside & (times >= margin) & (times < (series.lengths - margin)[:, None])
    is_whole = np.where(series.lengths[:, None] > 2 * margin, is_whole, inside)
    values = np.empty((len(chosen), b, T), np.float32)
    windows = np.empty((len(chosen), b), np.int64)
    for at, kernel in enumerate(chosen):
        of = np.flatnonzero(channel_sets[kernel])
        x, total = wide[of[0]], every_tap[of[0]]
        for channel in of[1:]:
            x, total = x + wide[channel], total + every_tap[channel]
        first, second, third = (x[:, taps[tap]] for tap in KERNELS[kernel])
        np.subtract(3 * (first + second + third), total, out=values[at])
        exists = is_whole if (parity + kernel) % 2 else inside
        np.copyto(values[at], -np.inf, where=~exists)
        windows[at] = exists.sum(axis=1)
    return values, windows


def _shares_above(found: _Convolutions) -> np.ndarray:
    """The share of windows above each bias. Returns (b, 84 · S) float32."""
    ordered = torch.from_numpy(np.sort(found.values, axis=2))
    biases = torch.from_numpy(found.biases).unsqueeze(1).expand(-1, ordered.shape[1], -1).contiguous()  # (84, b, S)
    above = ordered.shape[2] - torch.searchsorted(ordered, biases, right=True).numpy()
    shares = above / np.maximum(found.windows, 1)[..., None]
    flat: np.ndarray = shares.transpose(1, 0, 2).reshape(ordered.shape[1], -1).astype(np.float32)
    return flat


def _shares_by_step(found: _Convolutions, slopes: np.ndarray) -> np.ndarray:
    """What each window adds to Σ share · slope, less what a window of zeros adds. slopes (84, S, C) -> (b, T, C)."""
    added = np.zeros((*found.values.shape[1:], slopes.shape[2]))
    for values, windows, biases, slope in zip(*found[:3], slopes, strict=True):
        order = biases.argsort()
        total = np.concatenate([np.zeros((1, slope.shape[1])), slope[order].cumsum(axis=0)])
        above, above_zero = (np.searchsorted(biases[order], each) for each in (values, np.float32(0)))
        each = (total[above] - total[above_zero]) / np.maximum(windows, 1)[:, None, None]
        added += np.where(np.isneginf(values)[..., None], 0.0, each)
    return added


def statistics_by_step(values: Tensor, layout: Layout) -> Tensor:
    """What each step adds to the summary statistics of its series. (N, channels) -> (N, 7 · channels) float64.

    Summed over a series, these are the mean, deviation, minimum, maximum, first, last and mean absolute step of each
    channel. Equal extremes share theirs; each difference between neighbours is shared by both.
    """
    x, of = values.double().reshape(layout.num_steps, -1), layout.sequence
    n = layout.lengths.clamp(min=1).double().unsqueeze(1)  # (B, 1)

    def total(each: Tensor) -> Tensor:
        return each.new_zeros(layout.batch_size, each.shape[1]).index_add(0, of, each)  # in order: (N, …) -> (B, …)

    def extreme(reduce: str) -> Tensor:
        start = torch.inf if reduce == "amin" else -torch.inf
        index = of.unsqueeze(1).expand_as(x)
        found = x.new_full((layout.batch_size, x.shape[1]), start).scatter_reduce(0, index, x, reduce)[of]
        is_extreme = (x == found).double()
        return torch.where(is_extreme > 0, found / total(is_extreme)[of].clamp(min=1), 0.0)

    squares = (x - (total(x) / n)[of]).square() / n[of]
    deviation = total(squares).sqrt()[of]
    is_first, is_last = layout.time == 0, layout.time == layout.lengths[of] - 1
    jumps = torch.zeros_like(x)
    jumps[1:] = (x[1:] - x[:-1]).abs() * ~is_first[1:].unsqueeze(1)  # (N, channels), into each step
    half = jumps / 2 / (n[of] - 1).clamp(min=1)
    parts = [
        x / n[of],
        torch.where(deviation > 0, squares / deviation, 0.0),
        extreme("amin"),
        extreme("amax"),
        x * is_first.unsqueeze(1),
        x * is_last.unsqueeze(1),
        half + torch.cat([half[1:], half[:1] * 0]),
    ]
    return torch.cat(parts, dim=1)
