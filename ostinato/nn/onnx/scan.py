"""A loop over time as an ONNX node."""

from collections.abc import Callable, Sequence
from typing import Any

from ostinato.nn.onnx.graph import Graph, Value

Stepped = tuple[Sequence[Value], Sequence[Value]]  # the states after a step, and what is shown of it
Step = Callable[[Graph, Sequence[Value], Sequence[Value]], Stepped]  # body, states, inputs of the step


def scan(
    graph: Graph,
    step: Step,
    states: Sequence[Value],
    inputs: Sequence[Value],
    *,
    dtypes: Sequence[str] = (),
    reverse: bool = False,
) -> list[Value]:
    """Run a step over time: what it shows at every step, (T, B, …) each.

    Args:
        states: the initial states, matrices (B, …).
        inputs: what is read at each step, (T, B, …) each: a matrix at each step.
        dtypes: of the states, then the inputs, then what is shown; by default all are `FLOAT`.
        reverse: from the last step to the first; what is shown is in the order of the inputs.
    """
    from onnx import helper

    body = Graph(graph)
    names = [body.name("state") for _ in states], [body.name("input") for _ in inputs]
    after, shown = ([body.op("Identity", value) for value in values] for values in step(body, *names))
    kinds = dtypes or ["FLOAT"] * (len(states) + len(inputs) + len(shown))
    count = len(states) + len(inputs)
    read = _declared([*names[0], *names[1]], kinds[:count])
    written = _declared([*after, *shown], [*kinds[: len(states)], *kinds[count:]])
    directions = {"scan_input_directions": [1] * len(inputs), "scan_output_directions": [1] * len(shown)}
    outputs = graph.ops(
        "Scan",
        *states,
        *inputs,
        outputs=len(states) + len(shown),
        body=helper.make_graph(body.nodes, body.name("step"), read, written),
        num_scan_inputs=len(inputs),
        **(directions if reverse else {}),
    )
    return outputs[len(states) :]


def _declared(values: Sequence[Value], dtypes: Sequence[str]) -> list[Any]:
    """Declare the types of values and that all are matrices; without the second, OpenVINO refuses the graph."""
    from onnx import TensorProto, helper

    sizes = [None, None]
    return [
        helper.make_tensor_value_info(value, getattr(TensorProto, dtype), sizes)
        for value, dtype in zip(values, dtypes, strict=True)
    ]
