"""Poolings as ONNX nodes: from the padded steps of each sequence to one vector, ignoring padding."""

from typing import NamedTuple

import numpy as np
from torch import nn

from ostinato.nn.onnx.graph import SMALLEST, Graph, Steps, Value
from ostinato.nn.pooling import AttentionPooling, LastPooling, MaxPooling, MeanPooling, Pooling


class Pooled(NamedTuple):
    """The pooled vectors (B, P), and the attention weights of the steps (M, B) if there are any."""

    vectors: Value
    attention: Value | None


def pool(graph: Graph, module: Pooling, h: Value, steps: Steps) -> Pooled:
    """One or several poolings, concatenated. (M, B, H) -> (B, P)."""
    parts, attention = [], None
    for each in module.poolings.values():
        if isinstance(each, AttentionPooling):
            weights = attention_weights(graph, each, h, steps)  # (M, B, 1)
            attention = graph.squeeze(weights, 2)
            parts.append(graph.reduce("Sum", graph.op("Mul", weights, steps.masked(h, graph.zero)), 0))
        else:
            parts.append(pool_by(graph, each, h, steps))
    return Pooled(graph.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0], attention)


def pool_by(graph: Graph, module: nn.Module, h: Value, steps: Steps) -> Value:
    """One pooling other than attention. (M, B, H) -> (B, H)."""
    if isinstance(module, LastPooling):
        return _last(graph, module, h, steps)
    if isinstance(module, MaxPooling):
        largest = graph.reduce("Max", steps.masked(h, graph.constant(SMALLEST)), 0)
        return graph.op("Where", steps.filled, largest, graph.zero)
    assert isinstance(module, MeanPooling)
    return _mean(graph, h, steps)


def attention_weights(graph: Graph, module: AttentionPooling, h: Value, steps: Steps) -> Value:
    """Weights that sum to 1 over the steps of each sequence, exactly 0 at padding. (M, B, H) -> (M, B, 1)."""
    hidden = graph.op("Tanh", graph.linear(h, module.project.weight, module.project.bias))
    scores = steps.masked(graph.linear(hidden, module.score.weight, None), graph.constant(SMALLEST))
    largest = graph.reduce("Max", scores, 0, keepdims=True)
    powers = steps.masked(graph.op("Exp", graph.op("Sub", scores, largest)), graph.zero)
    total = graph.reduce("Sum", powers, 0, keepdims=True)
    return graph.op("Div", powers, graph.op("Where", steps.filled, total, graph.constant(1.0)))


def _last(graph: Graph, module: LastPooling, h: Value, steps: Steps) -> Value:
    """The last step of the forward direction, the first of the reverse one. (M, B, H) -> (B, H)."""
    last = steps.last(h)
    if module.bidirectional:
        first = graph.op("Gather", h, graph.constant(0, np.int64), axis=0)
        middle, size = module.output_size // 2, module.output_size
        last = graph.op("Concat", graph.slice(last, 1, 0, middle), graph.slice(first, 1, middle, size), axis=1)
    return graph.op("Where", steps.filled, last, graph.zero)


def _mean(graph: Graph, h: Value, steps: Steps) -> Value:
    total = graph.reduce("Sum", steps.masked(h, graph.zero), 0)
    count = graph.cast(graph.op("Max", steps.lengths, graph.one), "FLOAT")
    return graph.op("Div", total, graph.unsqueeze(count, 1))
