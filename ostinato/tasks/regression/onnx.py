"""The outputs of a regressor's ONNX graph."""

from typing import Any

import torch

from ostinato.nn.onnx.graph import Graph
from ostinato.tasks.onnx import Port
from ostinato.tasks.records import Model
from ostinato.tasks.regression.network import Regressor


def outputs(graph: Graph, network: Regressor, logits: str) -> dict[str, Port]:
    """`predictions` (batch, C) float64 in the units of the targets; quantiles that cross are sorted.

    The first K of the C columns are the predictions of K targets. With quantiles, `quantiles` (batch, K, Q) has them
    in increasing order.
    """
    unit = float(network.scale.square().mean().sqrt())
    C, Q = network.head.out_features, len(network.levels)
    scaled = graph.op("Mul", graph.cast(logits, "DOUBLE"), graph.constant(network.scale))
    numbers = graph.op("Add", scaled, graph.constant(network.mean))
    if Q < 2:
        return {"predictions": Port("float64", ("batch", C), numbers, unit)}
    K = C // Q
    columns = network.quantiles(torch.arange(C)[None])[0].flatten()  # the output of each target's levels, K·Q of them
    grouped = graph.reshape(graph.op("Gather", numbers, graph.constant(columns), axis=1), 0, K, Q)
    increasing, _ = graph.ops("TopK", grouped, graph.ints([Q]), outputs=2, axis=2, largest=0, sorted=1)
    flat = graph.reshape(increasing, 0, K * Q)
    predictions = graph.op("Gather", flat, graph.constant(columns.argsort()), axis=1)
    return {
        "predictions": Port("float64", ("batch", C), predictions, unit),
        "quantiles": Port("float64", ("batch", K, Q), increasing),
    }


def outputs_for(graph: Graph, network: Regressor, answers: str) -> str:
    """Numbers in the units of the targets as standardised ones."""
    return graph.op("Div", graph.op("Sub", answers, graph.constant(network.mean)), graph.constant(network.scale))


def answer_facts(model: Model) -> dict[str, Any]:
    """A number for each target."""
    return {"names": list(model.codec.names), "levels": list(model.network.levels)}
