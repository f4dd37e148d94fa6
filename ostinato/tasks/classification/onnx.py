"""The outputs of a classifier's ONNX graph."""

from typing import Any

import numpy as np

from ostinato.nn.onnx.graph import Graph
from ostinato.tasks.classification.network import LEAST, Classifier
from ostinato.tasks.onnx import Port
from ostinato.tasks.records import Model


def outputs(graph: Graph, network: Classifier, logits: str) -> dict[str, Port]:
    """`probabilities` (batch, C): softmax(logits / temperature)."""
    scaled = graph.op("Div", logits, graph.constant(network.temperature))
    probabilities = graph.op("Softmax", scaled, axis=-1)
    return {"probabilities": Port("float32", ("batch", network.head.out_features), probabilities)}


def outputs_for(graph: Graph, answers: str) -> str:
    """The logarithms of probabilities."""
    return graph.op("Log", graph.op("Clip", answers, graph.constant(np.array(LEAST))))


def answer_facts(model: Model) -> dict[str, Any]:
    """One of the labels."""
    labels: dict[str, Any] = model.codec.to_json()
    return labels
