"""Int8 weights: a graph whose file has about 30 % of the size.

Gather              int8 rows, each with its own scale; a row becomes float32 when it is looked up. Rows of few numbers
                    share a scale per column
LSTM, GRU, RNN,     int8 weights, with a scale per output; they become float32 once, when a runtime opens the file, and
MatMul, Conv        the arithmetic remains that of float32
LSTM, if asked      DynamicQuantizeLSTM of ONNX Runtime: int8 arithmetic, with activations rounded to 8 bits

A weight is value · scale, with the scale such that the largest value of its row or output is 127, and 63 in int8
arithmetic.
"""

from typing import Any

import numpy as np

from ostinato.nn.onnx.graph import Graph, Value

CONTRIB = "com.microsoft"  # the domain of ONNX Runtime's own operators
FEWEST = 1024  # numbers of a weight that becomes int8; smaller ones are a small part of the file
SHORT_ROW = 8  # numbers of a row; for fewer, a scale of 4 bytes would be most of what int8 saves
WEIGHTS: dict[str, tuple[tuple[int, tuple[int, ...]], ...]] = {  # inputs of a node, and the axes that share a scale
    "LSTM": ((1, (2,)), (2, (2,))),
    "GRU": ((1, (2,)), (2, (2,))),
    "RNN": ((1, (2,)), (2, (2,))),
    "MatMul": ((1, (0,)),),
    "Conv": ((1, (1, 2)),),
}
LARGEST = 127
# x86 processors without VNNI add two products of 8 bits in 16 bits, which overflow beyond 7 bits
# (onnxruntime.ai/docs/performance/model-optimizations/quantization.html, "reduce_range")
LARGEST_IN_INT8_ARITHMETIC = 63


def quantize(graph: Graph, *, int8_arithmetic: bool) -> Graph:
    """The same graph with int8 weights; the given one is not changed.

    Args:
        int8_arithmetic: in LSTM layers. All sequences of a batch, and its padding, then share the scale by which
            activations are rounded.
    """
    from onnx import NodeProto

    result = Graph()
    result.constants, result._count = dict(graph.constants), list(graph._count)
    for original in graph.nodes:
        node = NodeProto()
        node.CopyFrom(original)
        if node.op_type == "Gather" and _is_weight(result, node.input[0]) and _is_table(result, node.input[0]):
            _add_lookup(result, node)
        elif int8_arithmetic and node.op_type == "LSTM" and all(_is_weight(result, name) for name in node.input[1:3]):
            _add_lstm(result, node)
        else:
            result.nodes += _with_int8_weights(result, node)
    return result


def has_int8_arithmetic(graph: Graph) -> bool:
    """Whether a graph rounds activations, on scales that all sequences of a batch share."""
    return any(node.domain == CONTRIB for node in graph.nodes)


def _is_weight(graph: Graph, name: Value) -> bool:
    from onnx import TensorProto

    constant = graph.constants.get(name)
    return constant is not None and constant.data_type == TensorProto.FLOAT and np.prod(constant.dims) >= FEWEST


def _add_lookup(graph: Graph, node: Any) -> None:
    """Rows of an int8 table times their scales. Replaces a Gather along axis 0."""
    name, ids = node.input
    table = _take(graph, name)
    is_short = table.shape[1] < SHORT_ROW
    values, scales = _rounded(table, (0,) if is_short else (1,), LARGEST)
    rows = graph.cast(graph.op("Gather", graph.constant(values), ids, axis=0), "FLOAT")
    own = graph.constant(scales) if is_short else graph.op("Gather", graph.constant(scales), ids, axis=0)
    graph.op("Mul", rows, own)
    graph.nodes[-1].output[0] = node.output[0]


def _add_lstm(graph: Graph, node: Any) -> None:
    """An LSTM with int8 arithmetic. Its weights (directions, 4·H, D) are transposed, with a scale for each column."""
    _, inputs, recurrents, *_ = node.input
    weights = [_rounded(_take(graph, name), (2,), LARGEST_IN_INT8_ARITHMETIC) for name in (inputs, recurrents)]
    for position, (values, _) in enumerate(weights, start=1):
        node.input[position] = graph.constant(values.transpose(0, 2, 1))
    node.input.extend([""] * (8 - len(node.input)))  # initial states and peepholes are left out
    for _, scales in weights:
        columns = scales.squeeze(2)  # (directions, 4·H)
        node.input.extend([graph.constant(columns), graph.constant(np.zeros(columns.shape, np.int8))])
    node.op_type, node.domain = "DynamicQuantizeLSTM", CONTRIB
    graph.nodes.append(node)


def _with_int8_weights(graph: Graph, node: Any) -> list[Any]:
    """A node that reads int8 weights times their scales, after the nodes that multiply them; also in its body."""
    body = Graph(graph)
    for position, axes in WEIGHTS.get(node.op_type, ()):
        if _is_weight(graph, node.input[position]):
            values, scales = _rounded(_take(graph, node.input[position]), axes, LARGEST)
            # Cast and Mul of constants are computed once, on opening; ONNX Runtime repeats DequantizeLinear in each run
            node.input[position] = body.op("Mul", body.cast(body.constant(values), "FLOAT"), body.constant(scales))
    for attribute in node.attribute:
        inner = [each for original in attribute.g.node for each in _with_int8_weights(graph, original)]
        if inner:
            count = len(attribute.g.node)
            attribute.g.node.extend(inner)
            del attribute.g.node[:count]
    return [*body.nodes, node]


def _is_table(graph: Graph, name: Value) -> bool:
    """Whether a constant has rows; the idf of n-grams is a vector."""
    return len(graph.constants[name].dims) == 2


def _take(graph: Graph, name: Value) -> np.ndarray:
    """Remove a constant; every weight is the input of one node."""
    from onnx import numpy_helper

    array: np.ndarray = numpy_helper.to_array(graph.constants.pop(name))
    return array


def _rounded(weight: np.ndarray, axes: tuple[int, ...], largest: int) -> tuple[np.ndarray, np.ndarray]:
    """Int8 values and float32 scales whose product is the weight; numbers along `axes` share a scale."""
    peaks = np.abs(weight).max(axis=axes, keepdims=True)
    scales = (np.where(peaks > 0, peaks, 1) / largest).astype(np.float32)
    return np.rint(weight / scales).clip(-largest, largest).astype(np.int8), scales
