"""The outputs of a multilabel classifier's ONNX graph."""

from typing import Any

import numpy as np

from ostinato.nn.onnx.graph import Graph
from ostinato.tasks.multilabel.network import LEAST, MultilabelClassifier
from ostinato.tasks.onnx import Port
from ostinato.tasks.records import Model


def outputs(graph: Graph, network: MultilabelClassifier, logits: str) -> dict[str, Port]:
    """`probabilities` (batch, L): the sigmoid of each logit over its temperature, computed in float64."""
    scaled = graph.op("Div", graph.cast(logits, "DOUBLE"), graph.constant(network.temperatures.double()))
    probabilities = graph.cast(graph.op("Sigmoid", scaled), "FLOAT")
    return {"probabilities": Port("float32", ("batch", network.head.out_features), probabilities)}


def outputs_for(graph: Graph, answers: str) -> str:
    """The logits of probabilities."""
    low, high = (graph.constant(np.array(end)) for end in (LEAST, 1 - LEAST))
    inside = graph.op("Clip", answers, low, high)
    others = graph.op("Sub", graph.constant(np.array(1.0)), inside)
    return graph.op("Log", graph.op("Div", inside, others))


def answer_facts(model: Model) -> dict[str, Any]:
    """Every label whose probability reaches its threshold."""
    return {**model.codec.to_json(), "thresholds": model.network.thresholds.tolist()}
