"""Reading one sequence in pieces: what a network carries from piece to piece, and its output so far.

The memory and the time of a step do not depend on how many steps came before. On the native engine the output after any
pieces has the bits of the output for the whole; other engines sum in an order that depends on the size of the piece.

A `State` is never changed: reading further steps returns another, so that steps can also be read provisionally.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ostinato.nn.convolution import Convolution, ConvStem
from ostinato.nn.kernel import Spec, chosen_precision, recurrent, scan_from
from ostinato.nn.layers import RecurrentLayer, Stack
from ostinato.nn.network import Network
from ostinato.nn.sequence_network import SequenceNetwork

LETTERS = ("h", "c")  # of the tensors in a cell's state; further ones are numbered


class State(NamedTuple):
    """What a network carries from piece to piece.

    Args:
        steps: how many steps were read.
        tensors: by name, (1, …) each; their shapes depend on the network alone.
    """

    steps: int
    tensors: dict[str, Tensor]


def reads_ahead(network: Network) -> bool:
    """Whether the output at a step depends on later steps, so that the network cannot read in pieces."""
    stem = getattr(network, "conv_stem", None)
    layers = [*network.stack.layers, *([] if stem is None else [stem.convolution])]
    return any(
        layer.centred and layer.kernel_size > 1 if isinstance(layer, Convolution) else layer.bidirectional
        for layer in layers
    )


def state_names(depth: int, layer: RecurrentLayer) -> list[str]:
    """The names of a layer's state: `state_0_h` and, for a cell with two, `state_0_c`."""
    letters = [*LETTERS, *map(str, range(len(LETTERS), layer.cell.states))][: layer.cell.states]
    return [f"state_{depth}_{letter}" for letter in letters]


def start_stack(stack: Stack, like: Tensor) -> dict[str, Tensor]:
    """The states of all layers before the first step, in the dtype and on the device of `like`."""
    tensors: dict[str, Tensor] = {}
    for depth, layer in enumerate(stack.layers):
        if isinstance(layer, Convolution):
            tensors[f"state_{depth}_before"] = layer.start(like)
        elif isinstance(layer, RecurrentLayer):
            for name in state_names(depth, layer):
                tensors[name] = like.new_zeros(1, layer.hidden_size)
    return tensors


def read_stack(stack: Stack, tensors: dict[str, Tensor], values: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Run further steps of one sequence through a stack in eval mode.

    Args:
        tensors: the layers' states, among others.
        values: (n, D), at least one step.

    Returns:
        The outputs (n, H), and all tensors with the states after these steps.
    """
    tensors = dict(tensors)
    for depth, (layer, norm) in enumerate(zip(stack.layers, stack.norms, strict=True)):
        if isinstance(layer, Convolution):
            name = f"state_{depth}_before"
            hidden, tensors[name] = layer.resume(values, tensors[name])
        else:
            assert isinstance(layer, RecurrentLayer)
            names = state_names(depth, layer)
            hidden, state = _resume(layer, values, tuple(tensors[name] for name in names))
            tensors.update(zip(names, state, strict=True))
        values = norm(hidden + values if stack.residual and depth > 0 else hidden)
    return values, tensors


def start(network: SequenceNetwork) -> State:
    """The state before the first step."""
    weight = network.head.weight
    tensors = start_stack(network.stack, weight)
    if network.conv_stem is not None:
        tensors["state_conv_before"] = network.conv_stem.convolution.start(weight)
        if network.conv_stem.pool > 1:
            tensors["state_conv_largest"] = weight.new_full((1, network.conv_stem.output_size), -torch.inf)
    for name, pooling in network.pooling.poolings.items():
        tensors[f"state_pooled_{name}"] = pooling.start(weight)  # type: ignore[operator]
    return State(0, tensors)


def read(network: SequenceNetwork, state: State, values: Tensor) -> State:
    """Read further steps of a sequence, in eval mode and without gradient.

    Args:
        values: token ids (n,) or channels (n, channels); may be empty.
    """
    if not len(values):
        return state
    x = network.embed(values)  # (n,) or (n, channels) -> (n, D)
    if network.position is not None:
        x = network.position.at(x, torch.arange(state.steps, state.steps + len(x), device=x.device))
    tensors = dict(state.tensors)
    if network.conv_stem is not None:
        x = _read_stem(network.conv_stem, state.steps, tensors, x)
    return State(state.steps + len(values), _read_steps(network, tensors, x) if len(x) else tensors)


def output(network: SequenceNetwork, state: State) -> Tensor:
    """The network's output if the sequence ended here, (1, C)."""
    pool = 1 if network.conv_stem is None else network.conv_stem.pool
    tensors = state.tensors
    if state.steps % pool:  # the last step of the stack covers fewer than `pool` steps
        tensors = _read_steps(network, tensors, tensors["state_conv_largest"])
    count = -(-state.steps // pool)
    parts = [
        pooling.so_far(tensors[f"state_pooled_{name}"], count)  # type: ignore[operator]
        for name, pooling in network.pooling.poolings.items()
    ]
    outputs: Tensor = network.head(torch.cat(parts, dim=1))
    return outputs


def _read_steps(network: SequenceNetwork, tensors: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """Stack and poolings over further steps of the stack. (n, D)."""
    h, tensors = read_stack(network.stack, tensors, x)
    for name, pooling in network.pooling.poolings.items():
        tensors[f"state_pooled_{name}"] = pooling.add(tensors[f"state_pooled_{name}"], h)  # type: ignore[operator]
    return tensors


def _read_stem(stem: ConvStem, steps: int, tensors: dict[str, Tensor], x: Tensor) -> Tensor:
    """Convolve further steps, and pool those that complete a step of the stack; updates `tensors`. (n, D) -> (m, H)."""
    h, tensors["state_conv_before"] = stem.convolution.resume(x, tensors["state_conv_before"])
    if stem.pool == 1:
        return h
    begun = steps % stem.pool
    complete, left = divmod(begun + len(h), stem.pool)
    if begun:
        h = torch.cat([tensors["state_conv_largest"], h])
    widths = [stem.pool] * complete + [left] * (left > 0)
    widths[0] -= begun - (begun > 0)  # the begun step is one row
    largest = torch.segment_reduce(h, "max", lengths=torch.tensor(widths, device=h.device), axis=0, unsafe=True)
    tensors["state_conv_largest"] = largest[complete:].clone() if left else torch.full_like(largest[:1], -torch.inf)
    return largest[:complete]


def _resume(layer: RecurrentLayer, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Further steps of a recurrent layer. (n, D), states (1, H) -> (n, H), states."""
    (weights,) = layer.directions()
    cell = layer.cell
    if layer.engine_for(x) != "native":
        return _step_by_step(cell.step, x, state, weights)
    length = torch.tensor([len(x)])
    initial = [part.unsqueeze(0) for part in state]  # (1, H) -> (L=1, B=1, H)
    if cell.native == "scan":
        if cell.states == 1:
            h, _ = scan_from(cell.name, x, length, weights, initial[0])
            return h, (h[-1:].clone(),)
        h, states = scan_from(cell.name, x, length, weights, torch.cat(initial[1:], dim=-1))  # without the output
        return h, (h[-1:].clone(), *states[-1:].clone().chunk(cell.states - 1, dim=1))
    spec = Spec(cell.name, layer.hidden_size, 1, False, True, "ragged", 1, 0, chosen_precision())
    c = torch.cat(initial[1:], dim=-1) if cell.states > 1 else None
    h, h_n, c_n = recurrent(spec, x, None, length, initial[0], c, weights)
    return h, (h_n[0], *(() if c_n is None else c_n[0].chunk(cell.states - 1, dim=1)))


def _step_by_step(step: Any, x: Tensor, state: tuple[Tensor, ...], weights: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
    outputs = []
    for x_t in x.unsqueeze(1):  # (n, D) -> n × (1, D)
        state = step(x_t, state, weights)
        outputs.append(state[0])
    return torch.cat(outputs), state
