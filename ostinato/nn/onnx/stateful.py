"""A sequence network of one direction as an ONNX graph that reads sequences in pieces: states in, states out.

The states are those of `ostinato.nn.streaming`, and a batch of B sequences has them side by side.
"""

from typing import NamedTuple

import numpy as np
from torch import nn

from ostinato.errors import ConfigError
from ostinato.nn.convolution import Convolution
from ostinato.nn.embedding import PositionEmbedding
from ostinato.nn.layers import RecurrentLayer, Stack
from ostinato.nn.onnx.graph import SMALLEST, Graph, Steps, Value
from ostinato.nn.onnx.recurrent import recurrent_from
from ostinato.nn.onnx.sequence import embed
from ostinato.nn.pooling import AttentionPooling, LastPooling, MaxPooling, Pooling
from ostinato.nn.sequence_network import SequenceNetwork
from ostinato.nn.streaming import state_names

STEPS = "state_steps"  # how many steps each sequence has read, (B,) int64


class StatefulOutputs(NamedTuple):
    """What the graph computes.

    Args:
        logits: the network's outputs if the sequences ended after this piece, (B, C) float32.
        states: after this piece, by the names of the inputs.
    """

    logits: Value
    states: dict[str, Value]


def stateful_network(graph: Graph, network: SequenceNetwork, values: Value, lengths: Value) -> StatefulOutputs:
    """A network's outputs for padded pieces of sequences; the graph's inputs hold the states before them.

    Args:
        values: (B, T) int64 token ids, or (B, T, channels) float32 standardized series; padding may hold anything.
        lengths: (B,) int64, steps of each piece; 0 leaves a sequence as it is.

    Raises:
        ConfigError: ONNX cannot express the model with states.
    """
    steps = Steps(graph, graph.size(values, 1), lengths)
    total = graph.op("Add", STEPS, lengths)
    after = {STEPS: total}
    x = embed(graph, network, values)
    if network.position is not None:
        x = _positions(graph, network.position, x, steps)
    if network.conv_stem is not None:
        if network.conv_stem.pool > 1:
            raise ConfigError(
                f"A model with conv_pool {network.conv_stem.pool} cannot be exported with states. Export it without "
                "--stateful, or train again with model.conv_pool = 1."
            )
        x = _convolution(graph, network.conv_stem.convolution, x, steps, "state_conv_before", after)
    h = _stack(graph, network.stack, x, steps, after)
    pooled = _pool(graph, network.pooling, h, steps, total, after)
    return StatefulOutputs(graph.linear(pooled, network.head.weight, network.head.bias), after)


def _positions(graph: Graph, module: PositionEmbedding, x: Value, steps: Steps) -> Value:
    """Add the vector of each step's position, counted from the sequence's first step. (T, B, D) -> (T, B, D)."""
    time = graph.op("Add", graph.unsqueeze(steps.time, 1), graph.unsqueeze(STEPS, 0))  # (T, B)
    if module.learned:
        last = graph.constant(len(module.table) - 1, np.int64)
        return graph.op("Add", x, graph.op("Gather", graph.constant(module.table), graph.op("Min", time, last), axis=0))
    angles = graph.op("Mul", graph.unsqueeze(graph.cast(time, "FLOAT"), 2), graph.constant(module.frequencies))
    waves = [graph.unsqueeze(graph.op(kind, angles), 3) for kind in ("Sin", "Cos")]  # (T, B, D/2, 1) each
    alternating = graph.reshape(graph.op("Concat", *waves, axis=3), 0, 0, -1)
    return graph.op("Add", x, graph.slice(alternating, 2, 0, module.size))


def _convolution(
    graph: Graph, module: Convolution, x: Value, steps: Steps, name: str, after: dict[str, Value]
) -> Value:
    """Windows that end with their step; `name` holds the K − 1 steps before, (B, K − 1, D). (T, B, D) -> (T, B, H)."""
    size = module.kernel_size
    batch_first = graph.transpose(steps.masked(x, graph.zero), 1, 0, 2)
    block = graph.op("Concat", name, batch_first, axis=1) if size > 1 else batch_first  # (B, K − 1 + T, D)
    sums = graph.op(
        "Conv",
        graph.transpose(block, 0, 2, 1),
        graph.constant(module.weight),
        graph.constant(module.bias),
        kernel_shape=[size],
    )
    if size > 1:
        after[name] = _tail(graph, block, steps, name, size - 1)
    return graph.transpose(graph.op("Relu", sums), 2, 0, 1)  # (B, H, T) -> (T, B, H)


def _tail(graph: Graph, block: Value, steps: Steps, name: str, count: int) -> Value:
    """The last steps of each sequence in a block that begins with `count` earlier ones. (B, count + T, D)."""
    within = graph.op("Add", graph.unsqueeze(steps.lengths, 1), graph.constant(np.arange(count)))  # (B, count)
    rows = graph.op("Expand", graph.unsqueeze(within, 2), graph.op("Shape", name))
    return graph.op("GatherElements", block, rows, axis=1)


def _stack(graph: Graph, module: Stack, x: Value, steps: Steps, after: dict[str, Value]) -> Value:
    """Layers on top of each other, with residuals and layer norm. (T, B, D) -> (T, B, H)."""
    for depth, (layer, norm) in enumerate(zip(module.layers, module.norms, strict=True)):
        if isinstance(layer, Convolution):
            hidden = _convolution(graph, layer, x, steps, f"state_{depth}_before", after)
        else:
            assert isinstance(layer, RecurrentLayer)
            names = state_names(depth, layer)
            hidden, states = recurrent_from(graph, layer, x, steps, names)
            after.update(zip(names, states, strict=True))
        x = graph.op("Add", hidden, x) if module.residual and depth > 0 else hidden
        if isinstance(norm, nn.LayerNorm):
            x = graph.layer_norm(x, norm.weight, norm.bias, norm.eps)
    return x


def _pool(graph: Graph, module: Pooling, h: Value, steps: Steps, total: Value, after: dict[str, Value]) -> Value:
    """The running form of each pooling; zeros for a sequence without steps. (T, B, H) -> (B, P)."""
    parts = []
    for kind, each in module.poolings.items():
        name = f"state_pooled_{kind}"
        if isinstance(each, LastPooling):
            after[name] = pooled = graph.op("Where", steps.filled, steps.last(h), name)
        elif isinstance(each, MaxPooling):
            largest = graph.reduce("Max", steps.masked(h, graph.constant(SMALLEST)), 0)
            after[name] = pooled = graph.op("Max", name, largest)
        elif isinstance(each, AttentionPooling):
            after[name] = _attend(graph, each, h, steps, name)
            pooled = graph.op(
                "Div",
                graph.slice(after[name], 1, 2, each.output_size + 2),
                graph.slice(after[name], 1, 1, 2),
            )
        else:
            after[name] = graph.op("Add", name, graph.reduce("Sum", steps.masked(h, graph.zero), 0))
            count = graph.cast(graph.op("Max", total, graph.one), "FLOAT")
            pooled = graph.op("Div", after[name], graph.unsqueeze(count, 1))
        parts.append(pooled)
    has_steps = graph.op("Greater", graph.unsqueeze(total, 1), graph.constant(0, np.int64))
    joined = graph.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    return graph.op("Where", has_steps, joined, graph.zero)


def _attend(graph: Graph, module: AttentionPooling, h: Value, steps: Steps, name: str) -> Value:
    """The largest score so far, the sum of powers, and the weighted sum of h. (T, B, H), (B, H + 2) -> (B, H + 2)."""
    hidden = graph.op("Tanh", graph.linear(h, module.project.weight, module.project.bias))
    scores = steps.masked(graph.linear(hidden, module.score.weight, None), graph.constant(SMALLEST))  # (T, B, 1)
    before = graph.slice(name, 1, 0, 1)  # (B, 1)
    largest = graph.op("Max", before, graph.reduce("Max", scores, 0))
    powers = steps.masked(graph.op("Exp", graph.op("Sub", scores, graph.unsqueeze(largest, 0))), graph.zero)
    weighted = graph.op("Mul", powers, steps.masked(h, graph.zero))
    added = [graph.reduce("Sum", each, 0) for each in (powers, weighted)]
    shrunk = graph.op("Exp", graph.op("Sub", before, largest))
    kept = graph.op("Mul", graph.slice(name, 1, 1, module.output_size + 2), shrunk)
    sums = graph.op("Add", kept, graph.op("Concat", *added, axis=1))
    return graph.op("Concat", largest, sums, axis=1)
