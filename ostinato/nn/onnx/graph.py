"""An ONNX graph under construction. Importing this module imports no `onnx`; building a graph does."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

OPSET = 18  # the oldest version of ONNX's operators that has all that are used here
IR_VERSION = 10  # ONNX Runtime 1.18 and later read it
END = int(np.iinfo(np.int64).max)  # of a slice up to the end
SMALLEST = float(np.finfo(np.float32).min)

Value = str  # the name of a tensor in the graph


class Graph:
    """Nodes and constants of one graph. Every method that adds a node returns the name of its output.

    Args:
        parent: the graph that this one is the body of, whose values it may use; None for the outermost.
    """

    def __init__(self, parent: "Graph | None" = None) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {} if parent is None else parent.constants
        self._count: list[int] = [0] if parent is None else parent._count

    def op(self, kind: str, *inputs: Value, **attributes: Any) -> Value:
        """Add a node with one output. An empty name is an input that is left out."""
        return self.ops(kind, *inputs, outputs=1, **attributes)[0]

    def ops(self, kind: str, *inputs: Value, outputs: int, **attributes: Any) -> list[Value]:
        """Add a node with several outputs."""
        from onnx import helper

        names = [self.name(kind) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def constant(self, values: Any, dtype: Any = None) -> Value:
        """Add a constant; tensors and floats are float32 unless they are something else already."""
        from onnx import numpy_helper

        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values, dtype)
        if dtype is None and array.dtype == np.float64 and not isinstance(values, Tensor | np.ndarray):
            array = array.astype(np.float32)
        name = self.name("constant")
        self.constants[name] = numpy_helper.from_array(array.copy(), name)  # C order; 0 dimensions stay 0
        return name

    def name(self, kind: str) -> str:
        """A name that no other value has."""
        self._count[0] += 1
        return f"{kind.lower()}_{self._count[0]}"

    # Operations with constant arguments

    def transpose(self, x: Value, *axes: int) -> Value:
        return self.op("Transpose", x, perm=list(axes))

    def reshape(self, x: Value, *shape: int) -> Value:
        """A 0 copies the dimension of `x` at the same position; −1 is what remains."""
        return self.op("Reshape", x, self.ints(shape))

    def unsqueeze(self, x: Value, *axes: int) -> Value:
        return self.op("Unsqueeze", x, self.ints(axes))

    def squeeze(self, x: Value, *axes: int) -> Value:
        return self.op("Squeeze", x, self.ints(axes))

    def reduce(self, kind: str, x: Value, *axes: int, keepdims: bool = False) -> Value:
        """`Sum` or `Max` over axes."""
        return self.op(f"Reduce{kind}", x, self.ints(axes), keepdims=int(keepdims))

    def slice(self, x: Value, axis: int, start: int, end: int) -> Value:
        return self.op("Slice", x, self.ints([start]), self.ints([end]), self.ints([axis]))

    def cast(self, x: Value, dtype: str) -> Value:
        """Cast to `FLOAT`, `DOUBLE`, `INT32` or `INT64`."""
        from onnx import TensorProto

        return self.op("Cast", x, to=getattr(TensorProto, dtype))

    def size(self, x: Value, axis: int) -> Value:
        """The length of an axis, an int64 without dimensions."""
        return self.op("Squeeze", self.op("Shape", x, start=axis, end=axis + 1))

    def linear(self, x: Value, weight: Tensor, bias: Tensor | None) -> Value:
        """X W^T + b, for x (…, D) and a weight (H, D)."""
        product = self.op("MatMul", x, self.constant(weight.detach().t()))
        return product if bias is None else self.op("Add", product, self.constant(bias))

    def layer_norm(self, x: Value, gain: Tensor, bias: Tensor | None, epsilon: float) -> Value:
        """Layer norm over the last axis."""
        extra = [] if bias is None else [self.constant(bias)]
        return self.op("LayerNormalization", x, self.constant(gain), *extra, axis=-1, epsilon=epsilon)

    def ints(self, values: Sequence[int]) -> Value:
        return self.constant(np.array(values, np.int64))

    # Common values

    @cached_property
    def zero(self) -> Value:
        """0 as float32."""
        return self.constant(0.0)

    @cached_property
    def one(self) -> Value:
        """1 as int64."""
        return self.constant(1, np.int64)


class Steps:
    """The padded steps of a batch: how many each sequence has, and which positions are real.

    Args:
        length: T, an int64 value without dimensions.
        lengths: (B,) int64.
    """

    def __init__(self, graph: Graph, length: Value, lengths: Value) -> None:
        self.graph, self.length, self.lengths = graph, length, lengths

    @cached_property
    def time(self) -> Value:
        """The position of each step, (T,) int64."""
        graph = self.graph
        return graph.op("Range", graph.constant(0, np.int64), self.length, graph.one)

    @cached_property
    def mask(self) -> Value:
        """Whether a step is real, (T, B, 1) booleans."""
        graph = self.graph
        ends = graph.unsqueeze(self.lengths, 0, 2)  # (B,) -> (1, B, 1)
        return graph.op("Less", graph.unsqueeze(self.time, 1, 2), ends)

    @cached_property
    def filled(self) -> Value:
        """Whether a sequence has any step, (B, 1) booleans."""
        graph = self.graph
        return graph.op("Greater", graph.unsqueeze(self.lengths, 1), graph.constant(0, np.int64))

    @cached_property
    def reversal(self) -> Value:
        """The step that reversing each sequence within its length puts at each position, (T, B) int64."""
        graph = self.graph
        time = graph.unsqueeze(self.time, 1)
        mirrored = graph.op("Sub", graph.op("Sub", graph.unsqueeze(self.lengths, 0), graph.one), time)
        return graph.op("Where", graph.squeeze(self.mask, 2), mirrored, time)

    def last(self, x: Value) -> Value:
        """`x` (T, B, H) at the last step of each sequence, (B, H); anything where there is none."""
        graph = self.graph
        final = graph.op("Max", graph.op("Sub", self.lengths, graph.one), graph.constant(0, np.int64))
        shape = graph.op("Concat", graph.ints([1]), graph.op("Shape", x, start=1), axis=0)  # (1, B, H)
        rows = graph.op("Expand", graph.unsqueeze(final, 0, 2), shape)
        return graph.squeeze(graph.op("GatherElements", x, rows, axis=0), 0)

    def masked(self, x: Value, other: Value) -> Value:
        """`x` (T, B, …) at real steps, `other` at padding."""
        return self.graph.op("Where", self.mask, x, other)

    def reversed(self, x: Value) -> Value:
        """Each sequence of `x` (T, B, H) reversed within its own length; padding stays."""
        graph = self.graph
        shape = graph.op("Shape", x)
        indices = graph.op("Expand", graph.unsqueeze(self.reversal, 2), shape)
        return graph.op("GatherElements", x, indices, axis=0)
