"""Int8 weights in an ONNX graph."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra export")
ort = pytest.importorskip("onnxruntime", reason="needs the extra export")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from ostinato.nn.onnx.graph import IR_VERSION, OPSET, Graph  # noqa: E402
from ostinato.nn.onnx.quantize import has_int8_arithmetic, quantize  # noqa: E402

rng = np.random.default_rng(0)


def weights(*shape):
    return rng.normal(size=shape).astype(np.float32)


def grid(*shape, largest=127):
    """Weights that int8 holds exactly: whole numbers with `largest` in each row and column."""
    values = rng.integers(-largest, largest + 1, shape).astype(np.float32)
    values[..., 0, :] = values[..., :, 0] = largest
    return values


def run(graph, output, **inputs):
    value_infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
    ]
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "test",
            value_infos,
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            list(graph.constants.values()),
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)],
        ir_version=IR_VERSION,
    )
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([output], inputs)[0]


def constants(graph):
    return [numpy_helper.to_array(each) for each in graph.constants.values()]


def test_a_matrix_on_the_grid_gives_the_same_products():
    graph, x = Graph(), weights(3, 40)
    y = graph.op("MatMul", "x", graph.constant(grid(40, 30)))
    np.testing.assert_array_equal(run(quantize(graph, int8_arithmetic=True), y, x=x), run(graph, y, x=x))


def test_a_matrix_is_rounded_to_127_steps_of_each_column():
    graph, weight = Graph(), weights(64, 32)
    y = graph.op("MatMul", "x", graph.constant(weight))
    found = run(quantize(graph, int8_arithmetic=False), y, x=np.eye(64, dtype=np.float32))
    step = np.abs(weight).max(axis=0) / 127
    np.testing.assert_allclose(found, np.rint(weight / step) * step, rtol=1e-6, atol=1e-7)


def test_each_row_of_a_table_has_its_own_scale():
    graph, table = Graph(), weights(50, 30) * np.logspace(-3, 3, 50, dtype=np.float32)[:, None]
    table[7] = 0
    y = graph.op("Gather", graph.constant(table), "ids", axis=0)
    ids = np.arange(50).reshape(5, 10)
    found = run(quantize(graph, int8_arithmetic=False), y, ids=ids).reshape(50, 30)
    assert (np.abs(found - table) <= np.abs(table).max(axis=1, keepdims=True) / 254 * 1.001).all()


def test_weights_are_stored_as_int8_and_the_graph_is_not_changed():
    graph = Graph()
    graph.op("MatMul", "x", graph.constant(weights(64, 64)))
    (before,) = constants(graph)
    stored = constants(quantize(graph, int8_arithmetic=False))
    assert {(each.dtype.name, each.size) for each in stored} == {("int8", 64 * 64), ("float32", 64)}
    assert len(graph.nodes) == 1
    np.testing.assert_array_equal(constants(graph)[0], before)


def test_small_weights_stay_float32():
    graph = Graph()
    y = graph.op("MatMul", "x", graph.constant(weights(8, 2)))
    x = weights(3, 8)
    np.testing.assert_array_equal(run(quantize(graph, int8_arithmetic=True), y, x=x), run(graph, y, x=x))


def lstm(graph, inputs, recurrents, hidden):
    dirs = len(inputs)
    return graph.op(
        "LSTM",
        "x",
        graph.constant(inputs),
        graph.constant(recurrents),
        graph.constant(weights(dirs, 8 * hidden)),
        "lengths",
        hidden_size=hidden,
        direction="bidirectional" if dirs == 2 else "forward",
    )


@pytest.mark.parametrize("directions", [1, 2])
def test_an_lstm_in_int8_arithmetic_is_close_to_float32(directions):
    graph, hidden = Graph(), 24
    scale = np.float32(0.05 / 20)  # as small as trained weights
    y = lstm(
        graph,
        grid(directions, 4 * hidden, 20, largest=63) * scale,
        grid(directions, 4 * hidden, hidden, largest=63) * scale,
        hidden,
    )
    inputs = {"x": weights(9, 1, 20), "lengths": np.array([7], np.int32)}
    rounded = quantize(graph, int8_arithmetic=True)
    assert has_int8_arithmetic(rounded) and not has_int8_arithmetic(graph)
    expected, found = run(graph, y, **inputs), run(rounded, y, **inputs)
    assert not np.array_equal(found, expected)
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert (found[7:] == 0).all()


def test_float32_arithmetic_of_an_lstm_on_the_grid_is_the_same():
    graph, hidden = Graph(), 24
    step = np.float32(2**-9)
    y = lstm(graph, grid(1, 4 * hidden, 20) * step, grid(1, 4 * hidden, hidden) * step, hidden)
    rounded = quantize(graph, int8_arithmetic=False)
    inputs = {"x": weights(5, 3, 20), "lengths": np.array([5, 1, 3], np.int32)}
    np.testing.assert_array_equal(run(rounded, y, **inputs), run(graph, y, **inputs))
    assert not has_int8_arithmetic(rounded)
