"""Models with one target per sequence as ONNX graphs that read sequences in pieces."""

import copy
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ostinato.errors import ConfigError
from ostinato.nn import streaming
from ostinato.nn.onnx.graph import SMALLEST, Graph
from ostinato.nn.onnx.stateful import STEPS, stateful_network
from ostinato.nn.sequence_network import SequenceNetwork
from ostinato.tasks.onnx import OnnxModel, Port
from ostinato.tasks.portable import NEXT, Arrays
from ostinato.tasks.records import Model
from ostinato.tasks.sequences.onnx import draw, input_ports, network_input
from ostinato.tasks.sequences.stream import SequenceStream

if TYPE_CHECKING:
    from ostinato.tasks.sequences.task import SequenceTask


def to_stateful_onnx(task: "SequenceTask", model: Model) -> OnnxModel:
    """A trained model as a graph with the inputs and outputs of `to_onnx`, and states as further ones.

    Inputs are a piece of each sequence, and for each state `state_NAME` (batch, …), which is what the sequence before
    the piece leaves behind. Outputs are the answers if the sequences ended with the piece, and `next_state_NAME`. The
    answer facts `states` have the size of each state and its value before the first step.

    Raises:
        ConfigError: the model reads sequences from their end; ONNX cannot express it.
    """
    problems = SequenceStream.obstacles(model)
    if problems:
        raise ConfigError("\n".join(problems))
    graph, network = Graph(), model.network
    inputs, values = input_ports(graph, model.encoder)
    found = stateful_network(graph, network, values, "lengths")
    start = {name: tensor for name, tensor in streaming.start(network).tensors.items() if name in found.states}
    ports = {STEPS: Port("int64", ("batch",))}
    ports |= {
        name: Port("float32", ("batch", *tensor.shape[1:])) for name, tensor in start.items() if name in found.states
    }
    outputs = {"logits": Port("float32", ("batch", network.head.out_features), found.logits)}
    outputs |= task.onnx_outputs(graph, model, found.logits)
    outputs |= {NEXT + name: port._replace(value=found.states[name]) for name, port in ports.items()}
    first = {name: 0.0 if name == STEPS else _finite(start[name]).flatten()[0].item() for name in ports}
    states = {
        name: {"shape": list(port.shape[1:]), "dtype": port.dtype, "first": first[name]} for name, port in ports.items()
    }
    return OnnxModel(
        graph,
        {**inputs, **ports},
        outputs,
        {**task.answer_facts(model), "states": states},
        model.encoder.longest,
        partial(_draw, model),
        partial(_reference, task, model, network),
        partial(_reference, task, model, copy.deepcopy(network).double()),
    )


@torch.inference_mode()
def _draw(model: Model, random: np.random.Generator, lengths: Sequence[int]) -> Arrays:
    """Random pieces, each after a random beginning of its sequence, as our own engine read it."""
    before = [int(random.integers(length == 0, max(model.encoder.longest, 1) + 1)) for length in lengths]
    begun = draw(model.encoder, random, before)
    network = model.network
    states = [streaming.read(network, streaming.start(network), values) for values in _rows(model, network, begun)]
    arrays = {name: array for name, array in _side_by_side(states).items() if array.size}
    return {**draw(model.encoder, random, lengths), **arrays}


@torch.inference_mode()
def _reference(task: "SequenceTask", model: Model, network: SequenceNetwork, inputs: Arrays) -> Arrays:
    """What our own engine gives for the same pieces and states, in the precision of the network."""
    start, dtype = streaming.start(network).tensors, network.head.weight.dtype
    known = {name: torch.from_numpy(inputs[name]).to(network.device, dtype) for name in start if name in inputs}
    states, logits = [], []
    for row, values in enumerate(_rows(model, network, inputs)):
        tensors = start | {name: array[row : row + 1] for name, array in known.items()}
        states.append(streaming.read(network, streaming.State(int(inputs[STEPS][row]), tensors), values))
        logits.append(streaming.output(network, states[-1]))
    joined = torch.cat(logits).cpu()
    answers = {"logits": joined.numpy(), task.answers_output: network.answers(joined).cpu().numpy()}
    return answers | {NEXT + name: array for name, array in _side_by_side(states).items() if array.size}


def _rows(model: Model, network: SequenceNetwork, inputs: Arrays) -> Sequence[Tensor]:
    """What the network reads of each sequence."""
    return torch.split(network_input(model, network, inputs), inputs["lengths"].tolist())


def _side_by_side(states: Sequence[streaming.State]) -> Arrays:
    arrays = {
        name: _finite(torch.cat([state.tensors[name] for state in states])).cpu().numpy() for name in states[0].tensors
    }
    return {STEPS: np.array([state.steps for state in states], np.int64), **arrays}


def _finite(tensor: Tensor) -> Tensor:
    """JSON has no -inf, so the maximum of nothing is the smallest float32."""
    return tensor.clamp(min=SMALLEST)
