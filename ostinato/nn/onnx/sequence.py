"""A sequence network as an ONNX graph."""

from typing import NamedTuple

from ostinato.nn.embedding import TokenEmbedding
from ostinato.nn.onnx.graph import Graph, Steps, Value
from ostinato.nn.onnx.layers import conv_stem, on_tokens, positions, stack, token_vectors
from ostinato.nn.onnx.pooling import pool
from ostinato.nn.onnx.wide import wide_ngrams
from ostinato.nn.onnx.wide_kernels import wide_kernels
from ostinato.nn.sequence_network import SequenceNetwork
from ostinato.nn.wide import WideNgrams


class SequenceOutputs(NamedTuple):
    """What the graph computes.

    Args:
        logits: the network's outputs, (B, C) float32.
        attention: the weight of each token or step, (B, T) float32, for attention pooling.
    """

    logits: Value
    attention: Value | None


def sequence_network(graph: Graph, network: SequenceNetwork, values: Value, lengths: Value) -> SequenceOutputs:
    """A network's outputs for padded sequences.

    Args:
        values: (B, T) int64 token ids, or (B, T, channels) float32 standardized series; padding may hold anything.
        lengths: (B,) int64.
    """
    steps = Steps(graph, graph.size(values, 1), lengths)
    if network.is_linear:
        found = SequenceOutputs(graph.constant(network.head.bias), None)
    else:
        found = _deep(graph, network, values, steps)
    if network.wide is None:
        return found
    if isinstance(network.wide, WideNgrams):
        wide = wide_ngrams(graph, network.wide, values, steps)
    else:
        wide = wide_kernels(graph, network.wide, values, steps)
    return found._replace(logits=graph.op("Add", found.logits, wide))


def embed(graph: Graph, network: SequenceNetwork, values: Value) -> Value:
    """The vector of each step. (B, T) token ids, or (B, T, channels) -> (T, B, D)."""
    if isinstance(network.embed, TokenEmbedding):
        return token_vectors(graph, network.embed, graph.transpose(values, 1, 0))
    return graph.linear(graph.transpose(values, 1, 0, 2), network.embed.weight, network.embed.bias)


def _deep(graph: Graph, network: SequenceNetwork, values: Value, steps: Steps) -> SequenceOutputs:
    """The outputs without those of the wide part."""
    x = embed(graph, network, values)
    if network.position is not None:
        x = positions(graph, network.position, x, steps)
    shorter = steps
    if network.conv_stem is not None:
        x, shorter = conv_stem(graph, network.conv_stem, x, steps)
    pooled = pool(graph, network.pooling, stack(graph, network.stack, x, shorter), shorter)
    logits = graph.linear(pooled.vectors, network.head.weight, network.head.bias)
    if pooled.attention is None:
        return SequenceOutputs(logits, None)
    attention = on_tokens(graph, network.conv_stem, pooled.attention, steps, shorter)
    return SequenceOutputs(logits, graph.transpose(attention, 1, 0))
