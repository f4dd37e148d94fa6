"""Models with one target per sequence as ONNX graphs."""

import copy
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from ostinato.data.encoder import SequenceEncoder
from ostinato.data.joined import JoinedEncoder
from ostinato.errors import ConfigError
from ostinato.nn.ensemble import Ensemble
from ostinato.nn.onnx.graph import Graph, Value
from ostinato.nn.onnx.sequence import SequenceOutputs, sequence_network
from ostinato.nn.sequence_network import SequenceNetwork
from ostinato.nn.wide import WideNgrams
from ostinato.nn.wide_kernels import WideKernels
from ostinato.tasks.onnx import OnnxModel, Port
from ostinato.tasks.portable import Arrays
from ostinato.tasks.records import Model

if TYPE_CHECKING:
    from ostinato.tasks.sequences.task import SequenceTask

NGRAMS = 30  # features that are in the drawn sequences of a batch
SPREAD = 1.5  # deviation of the drawn series, in deviations of the training series


def to_onnx(task: "SequenceTask", model: Model) -> OnnxModel:
    """A trained model as a graph.

    Inputs are `tokens` (batch, length) int64 or `values` (batch, length, channels) float32, in the units of the data
    (with `scale` series: standardised by the portable encoder), and `lengths` (batch,) int64. If the wide part compares
    with thresholds, `values` are float64, so that both engines find the same convolutions above them. Outputs are
    `logits` (batch, C) float32, the task's own, and `attention` (batch, length) float32 if the pooling has any.

    Raises:
        ConfigError: ONNX cannot express the model.
    """
    if isinstance(model.encoder, JoinedEncoder):
        raise ConfigError(
            "The members of this ensemble read different tokens, and an ONNX file has those of one encoder. Export the "
            "members one by one."
        )
    graph, encoder, network = Graph(), model.encoder, model.network
    inputs, values = input_ports(graph, encoder, _precision(model))
    if isinstance(network, Ensemble):
        found = SequenceOutputs(_mean_outputs(task, graph, model, values), None)
    else:
        found = sequence_network(graph, network, values, "lengths")
    outputs = {"logits": Port("float32", ("batch", network.head.out_features), found.logits)}
    outputs |= task.onnx_outputs(graph, model, found.logits)
    if found.attention is not None:
        outputs["attention"] = Port("float32", ("batch", "length"), found.attention)
    return OnnxModel(
        graph,
        inputs,
        outputs,
        task.answer_facts(model),
        encoder.longest,
        partial(_draw, model),
        partial(_reference, task, model, network),
        partial(_reference, task, model, copy.deepcopy(network).double()),
    )


def input_ports(graph: Graph, encoder: SequenceEncoder, precision: str = "float32") -> tuple[dict[str, Port], str]:
    """The inputs, and the value that the network reads: ids, or the standardized series.

    Args:
        precision: of series, in the units of the data.
    """
    lengths = Port("int64", ("batch",))
    if encoder.channels is None:
        return {"tokens": Port("int64", ("batch", "length")), "lengths": lengths}, "tokens"
    port = Port(precision, ("batch", "length", encoder.channels))
    return {"values": port, "lengths": lengths}, _standardized(graph, encoder)


def _standardized(graph: Graph, encoder: SequenceEncoder) -> str:
    """The series less the mean, in deviations; in float64, since the mean may be much larger than the deviation."""
    less = graph.op("Sub", graph.cast("values", "DOUBLE"), graph.constant(np.array(encoder.mean)))
    return graph.cast(graph.op("Div", less, graph.constant(np.array(encoder.std))), "FLOAT")


def _mean_outputs(task: "SequenceTask", graph: Graph, model: Model, values: Value) -> Value:
    """The outputs of an ensemble, (B, C) float32, from the answers of its members."""
    shares = []
    for weight, member in zip(model.network.weights.tolist(), model.members, strict=True):
        logits = sequence_network(graph, member.network, values, "lengths").logits
        answers = task.onnx_outputs(graph, member, logits)[task.answers_output].value
        shares.append(graph.op("Mul", graph.cast(answers, "DOUBLE"), graph.constant(np.array(weight))))
    mean = graph.op("Sum", *shares)
    return graph.cast(task.onnx_outputs_for(graph, model, mean), "FLOAT")


def _wide_parts(model: Model) -> list[WideNgrams | WideKernels]:
    """The wide part of the model, or those of its members."""
    networks = [member.network for member in model.members] or [model.network]
    return [network.wide for network in networks if network.wide is not None]


def _precision(model: Model) -> str:
    return "float64" if any(isinstance(wide, WideKernels) for wide in _wide_parts(model)) else "float32"


def draw(
    encoder: SequenceEncoder, random: np.random.Generator, lengths: Sequence[int], precision: str = "float32"
) -> Arrays:
    """Random tokens or series; what lies beyond a sequence's length is random, too."""
    size = (len(lengths), max(*lengths, 1))
    counts = np.array(lengths, np.int64)
    if encoder.vocabulary is None:
        assert encoder.mean is not None and encoder.std is not None
        noise = random.standard_normal((*size, len(encoder.mean))) * SPREAD
        return {"values": (noise * encoder.std + encoder.mean).astype(precision), "lengths": counts}
    return {"tokens": random.integers(0, len(encoder.vocabulary.ids), size), "lengths": counts}


def _draw(model: Model, random: np.random.Generator, lengths: Sequence[int]) -> Arrays:
    """Random sequences. Few random tokens make a feature of a wide part, so these are partly made of its n-grams."""
    inputs = draw(model.encoder, random, lengths, _precision(model))
    fitted = [wide for wide in _wide_parts(model) if isinstance(wide, WideNgrams) and len(wide.keys)]
    if fitted:
        num_tokens = len(model.encoder.vocabulary.ids)
        ngrams = [
            wide.spelled(column, num_tokens)
            for wide in fitted
            for column in random.integers(len(wide.keys), size=NGRAMS).tolist()
        ]
        for tokens in inputs["tokens"]:
            for start in range(0, len(tokens), 2 * max(wide.order for wide in fitted)):
                ngram = ngrams[random.integers(len(ngrams))][: len(tokens) - start]
                tokens[start : start + len(ngram)] = ngram
    return inputs


@torch.inference_mode()
def _reference(task: "SequenceTask", model: Model, network: SequenceNetwork, inputs: Arrays) -> Arrays:
    """What our own engine gives for the same inputs, in the precision of the network."""
    values = network_input(model, network, inputs)
    logits = network(values, torch.from_numpy(inputs["lengths"])).cpu()
    return {"logits": logits.numpy(), task.answers_output: network.answers(logits).cpu().numpy()}


def network_input(model: Model, network: SequenceNetwork, inputs: Arrays) -> torch.Tensor:
    """What a network reads, end to end and without padding, on its device: ids (N,), or standardized (N, channels) in
    the precision of the network.
    """
    lengths = inputs["lengths"]
    real = np.arange(next(iter(inputs.values())).shape[1]) < lengths[:, None]  # (B, T)
    if "tokens" in inputs:
        return torch.from_numpy(inputs["tokens"][real].astype(np.int32)).to(network.device)
    encoder: SequenceEncoder = model.encoder
    standardized = encoder.standardized(inputs["values"][real].astype(np.float64))
    return torch.from_numpy(standardized).to(network.device, network.head.weight.dtype)
