"""A model step by step: hidden states, gates, and the answer if the sequence ended at each step."""

import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ostinato.data.ragged import Ragged
from ostinato.errors import ConfigError
from ostinato.explanation.masking import opened
from ostinato.explanation.model import ExplainableModel, encode_given, fitted, tokens_and_offsets
from ostinato.nn import Ensemble, Layout, RecurrentStack, SequenceNetwork
from ostinato.training.predict import predict_outputs

STEPS_AT_A_TIME = 2**18  # of prefixes that are in memory together


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """One direction of one layer.

    Args:
        depth: 1 for the layer that reads the embedding.
        reverse: whether it reads from the end; its state at a step has then seen that step and all after it.
        hidden: (T, H) the state h after each step, in the order of the sequence; before residual and layer norm.
        gates: (T, H) each, by the letters of the cell's equation: i, f, g, o of an LSTM, r, z, n of a GRU.
    """

    depth: int
    reverse: bool
    hidden: np.ndarray
    gates: dict[str, np.ndarray]

    @property
    def name(self) -> str:
        return f"layer {self.depth}, {'backwards' if self.reverse else 'forwards'}"

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values of four digits; `means` over the units are of |h| and of each gate."""
        means = {"|h|": np.abs(self.hidden).mean(axis=1)}
        means |= {name: gate.mean(axis=1) for name, gate in self.gates.items()}
        return {
            "name": self.name,
            "means": {name: _four_digits(mean) for name, mean in means.items()},
            "hidden": [_four_digits(step) for step in self.hidden],
            "gates": {name: [_four_digits(step) for step in gate] for name, gate in self.gates.items()},
        }


@dataclass(frozen=True, eq=False)
class Trace:
    """What happens in a model while it reads a sequence. Steps are counted from 0.

    Args:
        sequence: as it was given.
        tokens: the T tokens that the model reads.
        offsets: the start and end of each token, as in an `Explanation`.
        layers: from the bottom up, forwards before backwards.
        labels: the names of the C outputs.
        steps: (K,) the steps with a running answer, ascending; the first and the last are among them.
        running: (K, C) the model's answer if the sequence ended after that step: probabilities, or predictions. The
            backward direction then starts there, so its states are not those in `layers`.
        chosen: (K,) the index of the predicted label after each of `steps`.
        quantity: what `running` is: "probability" or "prediction".
    """

    sequence: Any
    tokens: list[str]
    offsets: list[tuple[int, int]]
    layers: list[LayerTrace]
    labels: list[Any]
    steps: np.ndarray
    running: np.ndarray
    chosen: np.ndarray
    quantity: str = "probability"

    @property
    def label(self) -> Any:
        """The predicted label for the whole sequence, or the name of the predicted number."""
        return self.labels[self.chosen[-1]]

    @property
    def decided(self) -> int | None:
        """The first of `steps` from which the predicted label no longer changes; None for predicted numbers."""
        if self.quantity != "probability":
            return None
        others = np.flatnonzero(self.chosen != self.chosen[-1])
        return int(self.steps[others[-1] + 1 if len(others) else 0])

    @property
    def decision(self) -> str:
        """When the model decided, or how its prediction moved, in words; steps are counted from 1."""
        if self.decided is None:
            first, last = self.running[0, self.chosen[-1]], self.running[-1, self.chosen[-1]]
            return f"{self.label} is predicted as {first:.4g} after step 1, and as {last:.4g} after {len(self.tokens)}."
        token = self.tokens[self.decided]
        is_series = not isinstance(self.sequence, str | list) and " " in token  # its numbers mean little alone
        named = "" if is_series else f" ({reprlib.repr(token)})"
        step = f"step {self.decided + 1} of {len(self.tokens)}{named}"
        if len(self.steps) < len(self.tokens):
            tested = f"at every tested step from there ({len(self.steps)} steps were tested)"
            return f"Decided by {step}: the answer is {self.label!r} {tested}."
        return f"Decided at {step}: from there on the answer stays {self.label!r}."

    @property
    def top(self) -> list[LayerTrace]:
        """The directions of the top layer, which the pooling reads."""
        return [layer for layer in self.layers if layer.depth == self.layers[-1].depth]

    def to_json(self) -> dict[str, Any]:
        """Everything except the sequence, as JSON values."""
        return {
            "tokens": self.tokens,
            "offsets": self.offsets,
            "labels": self.labels,
            "label": self.label,
            "quantity": self.quantity,
            "decided": self.decided,
            "steps": self.steps.tolist(),
            "running": [[round(float(answer), 6) for answer in row] for row in self.running],
            "layers": [layer.to_json() for layer in self.layers],
        }


def trace_sequence(model: ExplainableModel, sequence: Any, *, prefixes: int = 256) -> Trace:
    """Follow a model through one sequence.

    Args:
        model: a trained model, or a fitted estimator.
        sequence: one, as for `predict`; a truncated sequence is followed as the model reads it.
        prefixes: the most steps with a running answer; in longer sequences they are spread evenly.

    Raises:
        ConfigError: fewer than two prefixes; the model has no state at each token.
        DataError: the sequence is empty or cannot be encoded.
        NotFittedError: the estimator is not fitted yet.
    """
    model = fitted(model)
    if prefixes < 2:
        raise ConfigError(f"prefixes {prefixes} is too few. Expected 2 or more: the first and last step are required.")
    reason = why_not_traced(model)
    if reason is not None:
        raise ConfigError(f"This model has no trace: {reason}. Use `ostinato explain` instead.")
    (given,), encoded = encode_given(model, [sequence])
    last = len(encoded.values) - 1
    steps = np.linspace(0, last, min(prefixes, last + 1)).round().astype(int)
    outputs = _prefix_outputs(model.network, encoded.values, steps)
    return Trace(
        given,
        *tokens_and_offsets(model.encoder, given),
        list(_layers(model.network, encoded)),
        list(model.codec.names),
        steps,
        model.network.answers(outputs).numpy(),
        model.network.chosen(outputs).numpy(),
        model.network.quantity,
    )


def why_not_traced(model: ExplainableModel) -> str | None:
    """Why a model cannot be followed token by token; None if it can."""
    network = fitted(model).network
    if isinstance(network, Ensemble):
        return "it is an ensemble, and each member has states of its own"
    if network.is_linear:
        return "cell none is a linear model, which has no states"
    if not isinstance(network.stack, RecurrentStack):
        return "cell cnn reads windows, and carries nothing from step to step"
    if network.conv_stem is not None and network.conv_stem.pool > 1:
        return f"conv_pool {network.conv_stem.pool} makes one step of {network.conv_stem.pool} tokens"
    return None


@torch.inference_mode()
def _layers(network: SequenceNetwork, encoded: Ragged) -> Iterator[LayerTrace]:
    assert isinstance(network.stack, RecurrentStack)
    with opened(network):
        values = encoded.values.to(network.device)
        layout = Layout(encoded.lengths, values.device)
        x, _ = network.stack_input(network.embed(values), layout)  # (T,) or (T, channels) -> (T, D)
        for depth, (layer, inputs, hidden, _) in enumerate(network.stack.layer_by_layer(x, layout), start=1):
            directions = layer.directions()
            halves = hidden.chunk(len(directions), dim=1)  # (T, 2·H) -> 2 × (T, H)
            for reverse, (weights, h) in zip((False, True), zip(directions, halves, strict=True), strict=False):
                activations = layer.cell.activations
                gates = activations(inputs, _before(h, reverse=reverse), weights) if activations else {}
                yield LayerTrace(depth, reverse, _numbers(h), {name: _numbers(gate) for name, gate in gates.items()})


def _before(h: Tensor, *, reverse: bool) -> Tensor:
    """The state that each step starts from. (T, H) -> (T, H)."""
    zero = h.new_zeros(1, h.shape[1])
    return torch.cat([h[1:], zero] if reverse else [zero, h[:-1]])


def _prefix_outputs(network: SequenceNetwork, values: Tensor, steps: np.ndarray) -> Tensor:
    """The outputs for the prefixes that end after these steps. (K,) -> (K, C)."""
    size = max(1, STEPS_AT_A_TIME // len(values))
    ends = [(steps[start : start + size] + 1).tolist() for start in range(0, len(steps), size)]
    prefixes = (Ragged(torch.cat([values[:end] for end in part]), torch.tensor(part)) for part in ends)
    return torch.cat([predict_outputs(network, part) for part in prefixes])


def _numbers(values: Tensor) -> np.ndarray:
    numbers: np.ndarray = values.float().cpu().numpy()
    return numbers


def _four_digits(values: np.ndarray) -> list[float]:
    return [float(f"{value:.4g}") for value in values]
