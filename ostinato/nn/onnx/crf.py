"""A linear-chain CRF as ONNX nodes: the best tags by Viterbi, and marginal probabilities."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ostinato.nn.crf import LinearChainCRF
from ostinato.nn.onnx.graph import Graph, Steps, Value
from ostinato.nn.onnx.scan import Stepped, scan

FORBIDDEN = -1e30  # instead of −inf, which gives NaN where all scores are −inf


def decode(graph: Graph, crf: LinearChainCRF, emissions: Value, steps: Steps) -> Value:
    """The most probable tags of each sequence; arbitrary at padding. (T, B, C) -> (T, B) int64.

    Viterbi: v_t(j) = max_i (v_{t−1}(i) + T_ij) + e_t(j), less its maximum; then back along the best predecessors.
    """
    start, transitions, end = _scores(crf)

    def forward(body: Graph, states: Sequence[Value], now: Sequence[Value]) -> Stepped:
        (before,), (emission, is_first) = states, now
        paths = body.op("Add", body.unsqueeze(before, 2), body.constant(transitions))  # (B, C, 1) -> (B, C, C)
        pointer = body.op("ArgMax", paths, axis=1, keepdims=0)
        value = _next(body, body.reduce("Max", paths, 1), start, emission, is_first)
        return [value], [value, pointer]

    kinds = ["FLOAT", "FLOAT", "BOOL", "FLOAT", "INT64"]
    values, pointers = scan(graph, forward, [_blank(graph, emissions)], [emissions, _first(graph, steps)], dtypes=kinds)
    final = graph.op("ArgMax", graph.op("Add", values, graph.constant(end)), axis=2, keepdims=1)  # (T, B, 1)

    def backward(body: Graph, states: Sequence[Value], now: Sequence[Value]) -> Stepped:
        (after,), (pointer, last_tag, is_last) = states, now
        tag = body.op("Where", is_last, last_tag, after)
        return [body.op("GatherElements", pointer, tag, axis=1)], [tag]

    unset = graph.op("Gather", final, graph.constant(0, np.int64), axis=0)
    kinds = ["INT64", "INT64", "INT64", "BOOL", "INT64"]
    (tags,) = scan(graph, backward, [unset], [pointers, final, _last(graph, steps)], dtypes=kinds, reverse=True)
    return graph.squeeze(tags, 2)


def marginals(graph: Graph, crf: LinearChainCRF, emissions: Value, steps: Steps) -> Value:
    """p(y_t = c | emissions); arbitrary at padding. (T, B, C) -> (T, B, C). See `ostinato.nn.crf.marginals`."""
    start, transitions, end = _scores(crf)

    def forward(body: Graph, states: Sequence[Value], now: Sequence[Value]) -> Stepped:
        (before,), (emission, is_first) = states, now
        paths = body.op("Add", body.unsqueeze(before, 2), body.constant(transitions))
        alpha = _next(body, _logsumexp(body, paths, 1), start, emission, is_first)
        return [alpha], [alpha]

    def backward(body: Graph, states: Sequence[Value], now: Sequence[Value]) -> Stepped:
        (after,), (emission, is_last) = states, now
        paths = body.op("Add", body.unsqueeze(after, 1), body.constant(transitions))  # (B, 1, C) -> (B, C, C)
        beta = body.op("Where", is_last, body.constant(end), _logsumexp(body, paths, 2))
        beta = _less_its_maximum(body, beta)
        return [body.op("Add", emission, beta)], [beta]

    blank = _blank(graph, emissions)
    kinds = ["FLOAT", "FLOAT", "BOOL", "FLOAT"]
    (alpha,) = scan(graph, forward, [blank], [emissions, _first(graph, steps)], dtypes=kinds)
    (beta,) = scan(graph, backward, [blank], [emissions, _last(graph, steps)], dtypes=kinds, reverse=True)
    return graph.op("Softmax", graph.op("Add", alpha, beta), axis=-1)


def _scores(crf: LinearChainCRF) -> list[Tensor]:
    """Start (C,), transitions (C, C) and end (C,)."""
    with torch.no_grad():
        return [each.clamp(min=FORBIDDEN) for each in crf._scores()]


def _next(body: Graph, before: Value, start: Tensor, emission: Value, is_first: Value) -> Value:
    """The scores of a step, from the best or the sum over its predecessors. (B, C) -> (B, C)."""
    reached = body.op("Where", is_first, body.constant(start), before)
    return _less_its_maximum(body, body.op("Add", reached, emission))


def _less_its_maximum(body: Graph, scores: Value) -> Value:
    return body.op("Sub", scores, body.reduce("Max", scores, 1, keepdims=True))


def _logsumexp(body: Graph, scores: Value, axis: int) -> Value:
    return body.op("ReduceLogSumExp", scores, body.ints([axis]), keepdims=0)


def _blank(graph: Graph, emissions: Value) -> Value:
    """A state that is never read, (B, C)."""
    return graph.op("Gather", emissions, graph.constant(0, np.int64), axis=0)


def _first(graph: Graph, steps: Steps) -> Value:
    """Whether a step is the first of its sequence, (T, 1, 1)."""
    return graph.op("Equal", graph.unsqueeze(steps.time, 1, 2), graph.constant(0, np.int64))


def _last(graph: Graph, steps: Steps) -> Value:
    """Whether a step is the last of its sequence, (T, B, 1)."""
    ends = graph.op("Sub", graph.unsqueeze(steps.lengths, 0, 2), graph.one)
    return graph.op("Equal", graph.unsqueeze(steps.time, 1, 2), ends)
