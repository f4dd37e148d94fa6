"""A linear model of convolution kernels and summary statistics as ONNX nodes.

Convolutions add the same float32 numbers in the same order as our own engine, so that both find the same values above
a bias.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ostinato.nn.onnx.graph import END, Graph, Steps, Value
from ostinato.nn.wide_kernels import KERNELS, TAPS, WideKernels

BIASES_AT_A_TIME = 8  # of each kernel; all comparisons of a batch of 16,384 steps would take up to 800 MB


def wide_kernels(graph: Graph, module: WideKernels, series: Value, steps: Steps) -> Value:
    """Outputs linear in MiniRocket's features. (B, T, channels) -> (B, C). See `ostinato.nn.wide_kernels`."""
    inside = graph.transpose(graph.squeeze(steps.mask, 2), 1, 0)  # (T, B, 1) -> (B, T)
    x = graph.op("Where", inside, graph.transpose(series, 2, 0, 1), graph.zero)  # (channels, B, T)
    parts, start = [], 0
    for j, (dilation, size) in enumerate(zip(module.dilations.tolist(), module.sizes.tolist(), strict=True)):
        stop = start + len(KERNELS) * size
        windows = _Windows(graph, steps, inside, margin=TAPS // 2 * dilation, parity=j)
        convolved = windows.masked(_convolved(graph, module, x, j))
        parts.append(_shares_above(graph, convolved, module.biases[start:stop].reshape(len(KERNELS), size), windows))
        start = stop
    raw = graph.op("Concat", *parts, _statistics(graph, x, inside, steps), axis=1)  # (B, F)
    less = graph.op("Sub", raw, graph.constant(module.mean))
    return graph.linear(graph.op("Div", less, graph.constant(module.std)), module.weight.t(), None)


class _Windows:
    """Which windows of a dilation exist: kernels of the given parity read whole windows only, unless there are none.

    Args:
        inside: whether a step is real, (B, T).
        margin: steps on either side of a window's middle.
    """

    def __init__(self, graph: Graph, steps: Steps, inside: Value, *, margin: int, parity: int) -> None:
        self.graph = graph
        lengths = graph.unsqueeze(steps.lengths, 1)  # (B, 1)
        before, both = graph.constant(margin, np.int64), graph.constant(2 * margin, np.int64)
        has_whole = graph.op("Greater", lengths, both)
        starts_inside = graph.op("GreaterOrEqual", steps.time, before)  # (T,)
        ends_inside = graph.op("Less", steps.time, graph.op("Sub", lengths, before))  # (B, T)
        whole = graph.op("And", starts_inside, ends_inside)
        number = graph.op("Where", has_whole, graph.op("Sub", lengths, both), lengths)
        reads_all = ((np.arange(len(KERNELS)) + parity) % 2 == 0)[:, None, None]
        takes_all = graph.op("Or", graph.constant(reads_all), graph.op("Not", has_whole))  # (84, B, 1)
        self.exist = graph.op("Or", whole, graph.op("And", takes_all, inside))  # (84, B, T)
        self.number = graph.op("Max", graph.op("Where", takes_all, lengths, number), graph.one)  # (84, B, 1)

    def masked(self, convolved: Value) -> Value:
        """−∞ where there is no window. (84, B, T) -> (84, B, T)."""
        return self.graph.op("Where", self.exist, convolved, self.graph.constant(-np.inf))


def _convolved(graph: Graph, module: WideKernels, x: Value, j: int) -> Value:
    """The convolutions of all kernels at dilation j: 3 · (the taps of weight 2) − all taps. (84, B, T)."""
    dilation, rows = int(module.dilations[j]), module.channels + 1
    margin = TAPS // 2 * dilation
    padded = graph.op("Pad", x, graph.ints([0, 0, margin, 1, 0, margin]))  # with a channel of zeros
    ends = [(tap - TAPS + 1) * dilation for tap in range(TAPS - 1)] + [END]
    taps = [graph.slice(padded, 2, tap * dilation, end) for tap, end in enumerate(ends)]  # (channels + 1, B, T) each
    window, together = _added(graph, taps), graph.op("Concat", *taps, axis=0)
    channels = _channels(module.channel_sets[j].cpu().numpy())

    def read(table: Value, start: np.ndarray) -> Value:
        """The sum of each kernel's channels, which begin at a row of a table. (…, B, T) -> (84, B, T)."""
        return _added(graph, [graph.op("Gather", table, graph.constant(start + each), axis=0) for each in channels])

    heavy = _added(graph, [read(together, tap * rows) for tap in np.array(KERNELS).T])
    return graph.op("Sub", graph.op("Mul", graph.constant(3.0), heavy), read(window, np.zeros(1, np.int64)))


def _channels(sets: np.ndarray) -> np.ndarray:
    """Each kernel's channels in order, then the channel of zeros. (84, channels) -> (P, 84)."""
    counts = sets.sum(axis=1)
    ordered = np.argsort(~sets, axis=1, kind="stable")[:, : counts.max()]
    chosen: np.ndarray = np.where(np.arange(counts.max()) < counts[:, None], ordered, sets.shape[1]).T
    return chosen


def _shares_above(graph: Graph, convolved: Value, biases: Tensor, windows: _Windows) -> Value:
    """The share of windows above each bias, (84, S). (84, B, T) -> (B, 84 · S)."""
    convolved = graph.unsqueeze(convolved, 1)  # (84, 1, B, T)
    parts = []
    for some in torch.split(biases, BIASES_AT_A_TIME, dim=1):
        above = graph.op("Greater", convolved, graph.constant(some[:, :, None, None]))
        parts.append(graph.reduce("Sum", graph.cast(above, "FLOAT"), 3))
    counts = graph.cast(graph.op("Concat", *parts, axis=1), "DOUBLE")  # (84, S, B)
    number = graph.transpose(windows.number, 0, 2, 1)  # (84, 1, B)
    shares = graph.cast(graph.op("Div", counts, graph.cast(number, "DOUBLE")), "FLOAT")
    return graph.reshape(graph.transpose(shares, 2, 0, 1), 0, -1)


def _statistics(graph: Graph, x: Value, inside: Value, steps: Steps) -> Value:
    """Mean, deviation, minimum, maximum, first, last and mean absolute step. (channels, B, T) -> (B, 7 · channels)."""
    x, zero = graph.cast(x, "DOUBLE"), graph.constant(np.array(0.0))
    length = graph.op("Max", steps.lengths, graph.one)
    n = graph.cast(length, "DOUBLE")
    mean = graph.op("Div", graph.reduce("Sum", x, 2), n)  # (channels, B)
    centred = graph.op("Where", inside, graph.op("Sub", x, graph.unsqueeze(mean, 2)), zero)
    variance = graph.op("Div", graph.reduce("Sum", graph.op("Mul", centred, centred), 2), n)
    largest, smallest = (graph.op("Where", inside, x, graph.constant(np.array(each))) for each in (-np.inf, np.inf))
    extremes = [graph.reduce("Min", smallest, 2), graph.reduce("Max", largest, 2)]
    time = graph.unsqueeze(steps.time, 0)  # (1, T)
    is_last = graph.op("Equal", time, graph.op("Sub", graph.unsqueeze(length, 1), graph.one))  # (B, T)
    first = graph.op("Gather", x, graph.constant(0, np.int64), axis=2)
    last = graph.reduce("Sum", graph.op("Where", is_last, x, zero), 2)
    before = graph.slice(graph.op("Pad", x, graph.ints([0, 0, 1, 0, 0, 0])), 2, 0, -1)  # (channels, B, T)
    jumps = graph.op("Abs", graph.op("Sub", x, before))
    follows = graph.op("And", inside, graph.op("Greater", time, graph.constant(0, np.int64)))
    number = graph.cast(graph.op("Max", graph.op("Sub", length, graph.one), graph.one), "DOUBLE")
    step = graph.op("Div", graph.reduce("Sum", graph.op("Where", follows, jumps, zero), 2), number)
    found = graph.op("Concat", mean, graph.op("Sqrt", variance), *extremes, first, last, step, axis=0)
    return graph.cast(graph.op("Where", steps.filled, graph.transpose(found, 1, 0), zero), "FLOAT")


def _added(graph: Graph, values: Sequence[Value]) -> Value:
    """The sum, from the first to the last."""
    total = values[0]
    for each in values[1:]:
        total = graph.op("Add", total, each)
    return total
