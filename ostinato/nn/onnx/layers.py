"""Embeddings, convolutions and stacks as ONNX nodes."""

from typing import Any

import numpy as np
import torch
from torch import nn

from ostinato.nn.characters import CharacterFeatures
from ostinato.nn.convolution import Convolution, ConvStem
from ostinato.nn.embedding import PositionEmbedding, TokenEmbedding
from ostinato.nn.layers import Stack
from ostinato.nn.onnx.graph import SMALLEST, Graph, Steps, Value
from ostinato.nn.onnx.pooling import pool_by
from ostinato.nn.onnx.recurrent import recurrent


def token_vectors(graph: Graph, embed: TokenEmbedding, ids: Value) -> Value:
    """The vectors of token ids. (…) int64 -> (…, D)."""
    table = embed.weight if embed.extra is None else torch.cat([embed.weight, embed.extra.to(embed.weight)])
    return graph.op("Gather", graph.constant(table), ids, axis=0)


def positions(graph: Graph, module: PositionEmbedding, x: Value, steps: Steps) -> Value:
    """Add the vector of each step's position. (T, B, D) -> (T, B, D)."""
    if module.learned:
        last = graph.constant(len(module.table) - 1, np.int64)
        rows = graph.op("Gather", graph.constant(module.table), graph.op("Min", steps.time, last), axis=0)
    else:
        time = graph.unsqueeze(graph.cast(steps.time, "FLOAT"), 1)  # (T,) -> (T, 1)
        angles = graph.op("Mul", time, graph.constant(module.frequencies))  # -> (T, D/2)
        waves = [graph.unsqueeze(graph.op(kind, angles), 2) for kind in ("Sin", "Cos")]
        alternating = graph.reshape(graph.op("Concat", *waves, axis=2), 0, -1)
        rows = graph.slice(alternating, 1, 0, module.size)  # (T, D)
    return graph.op("Add", x, graph.unsqueeze(rows, 1))


def convolution(graph: Graph, module: Convolution, x: Value, steps: Steps) -> Value:
    """A linear map of each step's window, then relu; zeros around each sequence. (T, B, D) -> (T, B, H)."""
    size = module.kernel_size
    before = size // 2 if module.centred else size - 1
    channels = graph.transpose(steps.masked(x, graph.zero), 1, 2, 0)  # (T, B, D) -> (B, D, T)
    weight, bias = graph.constant(module.weight), graph.constant(module.bias)
    sums = graph.op("Conv", channels, weight, bias, kernel_shape=[size], pads=[before, size - 1 - before])
    return graph.transpose(graph.op("Relu", sums), 2, 0, 1)


def conv_stem(graph: Graph, module: ConvStem, x: Value, steps: Steps) -> tuple[Value, Steps]:
    """A convolution, then the maximum of every `pool` steps: the pooled steps, fewer than T. (T, B, D) -> (M, B, H)."""
    h = convolution(graph, module.convolution, x, steps)
    if module.pool == 1:
        return h, steps
    pool = graph.constant(module.pool, np.int64)
    h = steps.masked(h, graph.constant(SMALLEST))
    missing = graph.op("Mod", graph.op("Neg", steps.length), pool)  # so that T becomes a multiple of `pool`
    ends = graph.op("Concat", graph.ints([0] * 3), graph.unsqueeze(missing, 0), graph.ints([0] * 2), axis=0)
    padded = graph.op("Pad", h, ends, graph.constant(SMALLEST))
    batch = graph.op("Shape", h, start=1)  # (B, H)
    shape = graph.op("Concat", graph.ints([-1, module.pool]), batch, axis=0)
    pooled = graph.reduce("Max", graph.op("Reshape", padded, shape), 1)  # (M, pool, B, H) -> (M, B, H)
    return pooled, Steps(graph, graph.size(pooled, 0), _rounded_up(graph, steps.lengths, module.pool))


def on_tokens(graph: Graph, module: ConvStem | None, weights: Value, steps: Steps, pooled: Steps) -> Value:
    """Weights of the stack's steps, each shared evenly among the tokens that it covers. (M, B) -> (T, B)."""
    if module is None or module.pool == 1:
        return weights
    pool = graph.constant(module.pool, np.int64)
    starts = graph.op("Mul", graph.unsqueeze(pooled.time, 1), pool)  # (M, 1)
    widths = graph.op("Min", graph.op("Sub", graph.unsqueeze(steps.lengths, 0), starts), pool)  # (M, B)
    widths = graph.op("Max", widths, graph.one)  # padding has weight 0
    shared = graph.op("Div", weights, graph.cast(widths, "FLOAT"))
    spread = graph.op("Gather", shared, graph.op("Div", steps.time, pool), axis=0)
    return graph.op("Where", graph.squeeze(steps.mask, 2), spread, graph.zero)


def stack(graph: Graph, module: Stack, x: Value, steps: Steps) -> Value:
    """Layers on top of each other, with residuals and layer norm. (T, B, D) -> (T, B, H)."""
    for depth, (layer, norm) in enumerate(zip(module.layers, module.norms, strict=True)):
        hidden = _layer(graph, layer, x, steps)
        x = graph.op("Add", hidden, x) if module.residual and depth > 0 else hidden
        if isinstance(norm, nn.LayerNorm):
            x = graph.layer_norm(x, norm.weight, norm.bias, norm.eps)
    return x


def character_features(graph: Graph, module: CharacterFeatures, ids: Value, lengths: Value, forms: Value) -> Value:
    """A vector for each token from the characters of its word. (F, L) ids, (F,), (T, B) -> (T, B, H)."""
    steps = Steps(graph, graph.size(ids, 1), lengths)
    x = token_vectors(graph, module.embedding, graph.transpose(ids, 1, 0))
    vectors = pool_by(graph, module.pooling, _layer(graph, module.encoder, x, steps), steps)
    return graph.op("Gather", vectors, forms, axis=0)


def _layer(graph: Graph, layer: Any, x: Value, steps: Steps) -> Value:
    if isinstance(layer, Convolution):
        return convolution(graph, layer, x, steps)
    return recurrent(graph, layer, x, steps)


def _rounded_up(graph: Graph, lengths: Value, divisor: int) -> Value:
    """Lengths divided by a number, rounded up."""
    above = graph.op("Add", lengths, graph.constant(divisor - 1, np.int64))
    return graph.op("Div", above, graph.constant(divisor, np.int64))
