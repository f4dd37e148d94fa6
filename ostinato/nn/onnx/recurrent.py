"""Recurrent layers as ONNX nodes: LSTM, GRU and RNN where ONNX has the cell, Scan where it does not.

ONNX orders the gates differently: LSTM i, o, f, c and GRU z, r, h, where `torch.nn` has i, f, g, o and r, z, n. The GRU
needs `linear_before_reset=1`, since r applies after the recurrent product. Layout 0 (time first) is the one that all
runtimes implement.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ostinato.errors import ConfigError
from ostinato.nn.cells import DecayWeights, HeadWeights, NormWeights, RingWeights, ScanWeights, Weights
from ostinato.nn.cells.lru import lru_factor
from ostinato.nn.cells.rglru import EXPONENT
from ostinato.nn.layers import RecurrentLayer
from ostinato.nn.onnx.graph import Graph, Steps, Value
from ostinato.nn.onnx.scan import Stepped, scan

NODES: dict[str, tuple[str, Sequence[int], dict[str, Any]]] = {  # cell -> node, our gate at each position, attributes
    "lstm": ("LSTM", (0, 3, 1, 2), {}),
    "gru": ("GRU", (1, 0, 2), {"linear_before_reset": 1}),
    "rnn_tanh": ("RNN", (0,), {"activations": ["Tanh"]}),
    "rnn_relu": ("RNN", (0,), {"activations": ["Relu"]}),
}
EPSILON = 1e-5  # of layer norm, as in torch.nn.functional.layer_norm


def recurrent(graph: Graph, layer: RecurrentLayer, x: Value, steps: Steps) -> Value:
    """A layer over padded steps: (T, B, D) -> (T, B, H), or (T, B, 2·H) for both directions.

    Raises:
        ConfigError: the cell is one that user code registered.
    """
    if layer.cell.name in NODES:
        return _by_node(graph, layer, x, steps, [])[0]
    scan = _scan_of(layer)
    forward, *reverse = layer.directions()
    outputs = [scan(graph, x, forward, _zeros(graph, x, layer))[0]]
    if reverse:
        backwards = scan(graph, steps.reversed(x), reverse[0], _zeros(graph, x, layer))[0]
        outputs.append(steps.reversed(backwards))
    return graph.op("Concat", *outputs, axis=2) if reverse else outputs[0]


def recurrent_from(
    graph: Graph, layer: RecurrentLayer, x: Value, steps: Steps, states: Sequence[Value]
) -> tuple[Value, list[Value]]:
    """A layer of one direction from given states, (B, H) each; also the states after each sequence's last step.

    Raises:
        ConfigError: the cell is one that user code registered.
    """
    if layer.cell.name in NODES:
        h, *last = _by_node(graph, layer, x, steps, states)
    else:
        (weights,) = layer.directions()
        shown = _scan_of(layer)(graph, x, weights, list(states))
        h, last = shown[0], [steps.last(each) for each in shown]
    after = [graph.op("Where", steps.filled, new, old) for new, old in zip(last, states, strict=True)]
    return h, after


def _scan_of(layer: RecurrentLayer) -> "Scanned":
    if layer.cell.name not in SCANS:
        raise ConfigError(
            f"Cell {layer.cell.name!r} cannot be exported to ONNX. Choose from: {', '.join(sorted({*NODES, *SCANS}))}."
        )
    return SCANS[layer.cell.name]


def _by_node(graph: Graph, layer: RecurrentLayer, x: Value, steps: Steps, states: Sequence[Value]) -> list[Value]:
    """The outputs (T, B, dirs·H) and, for one direction, the last states (B, H); from zeros without `states`."""
    kind, order, attributes = NODES[layer.cell.name]
    directions: list[Weights] = layer.directions()
    inputs, recurrents, biases = (
        torch.stack([_in_order(part, order) for part in parts])  # (directions, G·H, …)
        for parts in zip(*((each[0], each[1], torch.stack([each[2], each[3]], 1)) for each in directions), strict=True)
    )
    attributes = dict(attributes)
    if "activations" in attributes:  # one for each direction
        attributes["activations"] = attributes["activations"] * len(directions)
    outputs, *last = graph.ops(
        kind,
        x,
        graph.constant(inputs),
        graph.constant(recurrents),
        graph.constant(biases.transpose(1, 2).flatten(1)),  # (directions, G·H, 2) -> (directions, 2·G·H)
        graph.cast(steps.lengths, "INT32"),
        *(graph.unsqueeze(state, 0) for state in states),
        outputs=1 + len(states),
        hidden_size=layer.hidden_size,
        direction="bidirectional" if layer.bidirectional else "forward",
        **attributes,
    )
    h = graph.reshape(graph.transpose(outputs, 0, 2, 1, 3), 0, 0, -1)  # (T, dirs, B, H) -> (T, B, dirs·H)
    return [h, *(graph.squeeze(each, 0) for each in last)]  # (1, B, H) -> (B, H)


def _in_order(weight: Tensor, order: Sequence[int]) -> Tensor:
    """The gates of a weight (G·H, …) in the order that ONNX has them."""
    gates = weight.detach().chunk(len(order))
    return torch.cat([gates[gate] for gate in order])


def mingru(graph: Graph, x: Value, weights: ScanWeights, states: list[Value]) -> list[Value]:
    """H' = (1 − z)·h + z·n; see `ostinato.nn.cells.minimal`."""
    z, n = _split(graph, graph.linear(x, *weights), 2)
    z = graph.op("Sigmoid", z)
    take = graph.op("Mul", z, _positive(graph, n))
    return _linear_scan(graph, graph.op("Sub", graph.constant(1.0), z), take, states)


def minlstm(graph: Graph, x: Value, weights: ScanWeights, states: list[Value]) -> list[Value]:
    """H' = f·h + i·n with f + i = 1; see `ostinato.nn.cells.minimal`."""
    f, i, n = _split(graph, graph.linear(x, *weights), 3)
    share = graph.op("Sub", _log_sigmoid(graph, f), _log_sigmoid(graph, i))
    keep, take = graph.op("Sigmoid", share), graph.op("Sigmoid", graph.op("Neg", share))
    return _linear_scan(graph, keep, graph.op("Mul", take, _positive(graph, n)), states)


def mingru_signed(graph: Graph, x: Value, weights: ScanWeights, states: list[Value]) -> list[Value]:
    """H' = (1 − z)·h + z·n with z up to 2; see `ostinato.nn.cells.minimal`."""
    z, n = _split(graph, graph.linear(x, *weights), 2)
    return _mirror_scan(graph, graph.op("Neg", z), n, states)


def minlstm_signed(graph: Graph, x: Value, weights: ScanWeights, states: list[Value]) -> list[Value]:
    """H' = f·h + i·n with f + i = 1 and i up to 2; see `ostinato.nn.cells.minimal`."""
    f, i, n = _split(graph, graph.linear(x, *weights), 3)
    return _mirror_scan(graph, graph.op("Sub", _log_sigmoid(graph, f), _log_sigmoid(graph, i)), n, states)


def _mirror_scan(graph: Graph, s: Value, n: Value, states: list[Value]) -> list[Value]:
    """H' = a·(h − g(n)) + g(n) with a = 2·σ(s) − 1 = tanh(s / 2), which is exact also near 0."""

    def step(body: Graph, states: Sequence[Value], now: Sequence[Value]) -> Stepped:
        a, candidate = now
        h = body.op("Add", body.op("Mul", a, body.op("Sub", states[0], candidate)), candidate)
        return [h], [h]

    a = graph.op("Tanh", graph.op("Mul", graph.constant(0.5), s))
    return scan(graph, step, states, [a, _positive(graph, n)])


def rglru(graph: Graph, x: Value, weights: DecayWeights, states: list[Value]) -> list[Value]:
    """H' = a·h + sqrt(1 − a²)·i·n; see `ostinato.nn.cells.rglru`."""
    r, i, n = _split(graph, graph.linear(x, weights.weight_ih, weights.bias_ih), 3)
    r, i = (graph.op("Sigmoid", gate) for gate in (r, i))
    rate = graph.op("Mul", graph.constant(-EXPONENT * torch.nn.functional.logsigmoid(weights.decay)), r)  # −log a
    t = graph.op("Tanh", rate)  # 1 − a² = 2·t / (1 + t), exact also where a is nearly 1
    square = graph.op("Div", graph.op("Add", t, t), graph.op("Add", t, graph.constant(1.0)))
    take = graph.op("Mul", graph.op("Sqrt", square), graph.op("Mul", i, n))
    return _linear_scan(graph, graph.op("Exp", graph.op("Neg", rate)), take, states)


def lru(graph: Graph, x: Value, weights: RingWeights, states: list[Value]) -> list[Value]:
    """H' = λ·h + γ·(B x + b) and y = gelu(Re(C h')); see `ostinato.nn.cells.lru`."""
    gamma = weights.gamma_log.exp().repeat(2)  # (H,) -> (2·H,)
    sums = graph.linear(x, gamma.unsqueeze(1) * weights.weight_ih, gamma * weights.bias_ih)
    a, b = (graph.constant(part) for part in lru_factor(weights))

    def step(body: Graph, states: Sequence[Value], now: Sequence[Value]) -> Stepped:
        real, imaginary = states
        turned = body.op("Sub", body.op("Mul", a, real), body.op("Mul", b, imaginary))
        across = body.op("Add", body.op("Mul", b, real), body.op("Mul", a, imaginary))
        h = [body.op("Add", turned, now[0]), body.op("Add", across, now[1])]
        return h, h

    h = scan(graph, step, states[1:], _split(graph, sums, 2))
    return [_gelu(graph, graph.linear(graph.op("Concat", *h, axis=2), weights.weight_ho, None)), *h]


def lnlstm(graph: Graph, x: Value, weights: NormWeights, states: list[Value]) -> list[Value]:
    """An LSTM with layer norm; see `ostinato.nn.cells.lnlstm`."""
    inputs = graph.layer_norm(graph.linear(x, weights.weight_ih, None), weights.gain_ih, weights.bias_ih, EPSILON)

    def step(body: Graph, states: Sequence[Value], now: Sequence[Value]) -> Stepped:
        h, c = states
        sums = body.layer_norm(body.linear(h, weights.weight_hh, None), weights.gain_hh, None, EPSILON)
        i, f, g, o = _split(body, body.op("Add", now[0], sums), 4)
        i, f, o = (body.op("Sigmoid", gate) for gate in (i, f, o))
        c = body.op("Add", body.op("Mul", f, c), body.op("Mul", i, body.op("Tanh", g)))
        shown = body.op("Tanh", body.layer_norm(c, weights.gain_c, weights.bias_c, EPSILON))
        h = body.op("Mul", o, shown)
        return [h, c], [h, c]

    return scan(graph, step, states, [inputs])


def slstm(graph: Graph, x: Value, weights: HeadWeights, states: list[Value]) -> list[Value]:
    """An LSTM with an exponential input gate; see `ostinato.nn.cells.slstm`."""
    size = weights.weight_hh.shape[1]
    gates = weights.weight_hh.detach().chunk(4)
    blocks = [torch.block_diag(*gate.split(size)) for gate in gates]  # type: ignore[no-untyped-call]
    inputs = graph.linear(x, weights.weight_ih, weights.bias_ih)

    def step(body: Graph, states: Sequence[Value], now: Sequence[Value]) -> Stepped:
        h, c, n, m = states
        log_i, f, z, o = _split(body, body.op("Add", now[0], body.linear(h, torch.cat(blocks), None)), 4)
        is_first = body.op("Equal", n, body.constant(0.0))
        log_f = body.op("Where", is_first, body.constant(-torch.inf), body.op("Add", _log_sigmoid(body, f), m))
        m = body.op("Max", log_f, log_i)
        i, f = (body.op("Exp", body.op("Sub", gate, m)) for gate in (log_i, log_f))
        c = body.op("Add", body.op("Mul", f, c), body.op("Mul", i, body.op("Tanh", z)))
        n = body.op("Add", body.op("Mul", f, n), i)
        h = body.op("Mul", body.op("Sigmoid", o), body.op("Div", c, n))
        return [h, c, n, m], [h, c, n, m]

    return scan(graph, step, states, [inputs])


# (graph, x (T, B, D), weights, states (B, H)) -> every state at each step, (T, B, H); the first is h
Scanned = Callable[[Graph, Value, Any, list[Value]], list[Value]]
SCANS: dict[str, Scanned] = {
    "mingru": mingru,
    "minlstm": minlstm,
    "mingru_signed": mingru_signed,
    "minlstm_signed": minlstm_signed,
    "rglru": rglru,
    "lru": lru,
    "lnlstm": lnlstm,
    "slstm": slstm,
}


def _linear_scan(graph: Graph, factors: Value, addends: Value, states: list[Value]) -> list[Value]:
    """h_t = factor_t·h_{t−1} + addend_t. (T, B, H), (T, B, H), (B, H) -> (T, B, H)."""

    def step(body: Graph, states: Sequence[Value], now: Sequence[Value]) -> Stepped:
        h = body.op("Add", body.op("Mul", now[0], states[0]), now[1])
        return [h], [h]

    return scan(graph, step, states, [factors, addends])


def _zeros(graph: Graph, x: Value, layer: RecurrentLayer) -> list[Value]:
    """The initial states of a layer, (B, H) each, for x (T, B, D)."""
    batch = graph.op("Shape", x, start=1, end=2)
    shape = graph.op("Concat", batch, graph.ints([layer.hidden_size]), axis=0)
    return [graph.op("Expand", graph.zero, shape)] * layer.cell.states


def _split(graph: Graph, x: Value, gates: int) -> list[Value]:
    return graph.ops("Split", x, outputs=gates, axis=-1, num_outputs=gates)


def _log_sigmoid(graph: Graph, x: Value) -> Value:
    """−softplus(−x)."""
    return graph.op("Neg", graph.op("Softplus", graph.op("Neg", x)))


def _positive(graph: Graph, x: Value) -> Value:
    """g(x) = x + 0.5 for x ≥ 0, else sigmoid(x)."""
    above = graph.op("Add", x, graph.constant(0.5))
    return graph.op("Where", graph.op("Less", x, graph.zero), graph.op("Sigmoid", x), above)


def _gelu(graph: Graph, x: Value) -> Value:
    """gelu(x) by tanh: x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))."""
    cube = graph.op("Mul", graph.op("Mul", x, x), x)
    inner = graph.op("Add", x, graph.op("Mul", graph.constant(0.044715), cube))
    tanh = graph.op("Tanh", graph.op("Mul", graph.constant(math.sqrt(2 / math.pi)), inner))
    return graph.op("Mul", graph.op("Mul", graph.constant(0.5), x), graph.op("Add", tanh, graph.constant(1.0)))
