"""Step by step: hidden states, gates, and what the answer had been if the sequence had ended there."""

import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ostinato.data.ragged import Ragged
from ostinato.errors import ConfigError, NotFittedError
from ostinato.estimators import SequenceClassifier, refuse_empty
from ostinato.explanation.attribution import tokens_and_offsets
from ostinato.explanation.vectors import opened
from ostinato.inputs import as_sequences
from ostinato.models import Classifier
from ostinato.nn import Layout

STEPS_AT_A_TIME = 2**18  # of prefixes that lie in memory together


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """One direction of one layer.

    Args:
        depth: 1 for the layer that reads the embedding.
        reverse: whether it reads from the end; its state at a step has then seen that step and all after it.
        hidden: (T, H) the layer's state h after each step, in the order of the sequence; before residual and layer norm.
        gates: (T, H) each, by the letters of the cell's equation: i, f, g, o of an LSTM, r, z, n of a GRU, none of an RNN.
    """

    depth: int
    reverse: bool
    hidden: np.ndarray
    gates: dict[str, np.ndarray]

    @property
    def name(self) -> str:
        return f"layer {self.depth}, {'backwards' if self.reverse else 'forwards'}"

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values of four digits; `means` are over the units, of the state's size |h| and of each gate."""
        means = {
            "|h|": np.abs(self.hidden).mean(axis=1),
            **{name: gate.mean(axis=1) for name, gate in self.gates.items()},
        }
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
        tokens: (T,) as the model reads them.
        offsets: where each token starts and ends, as in an `Explanation`.
        layers: from the lowest up, forwards before backwards.
        labels: (C,) of the model.
        steps: (K,) the steps after which the model was asked, ascending; the first and the last are among them.
        running: (K, C) its calibrated probabilities had the sequence ended after that step. The backward direction then
            starts there, so that its states are not those in `layers`.
    """

    sequence: Any
    tokens: list[str]
    offsets: list[tuple[int, int]]
    layers: list[LayerTrace]
    labels: list[Any]
    steps: np.ndarray
    running: np.ndarray

    @property
    def label(self) -> Any:
        """The answer for the whole sequence."""
        return self.labels[self.answers[-1]]

    @property
    def answers(self) -> np.ndarray:
        """(K,) the index of the most probable label after each of `steps`."""
        answers: np.ndarray = self.running.argmax(axis=1)
        return answers

    @property
    def decided(self) -> int:
        """The first of `steps` from which the answer stays what it is at the end."""
        others = np.flatnonzero(self.answers != self.answers[-1])
        return int(self.steps[others[-1] + 1 if len(others) else 0])

    @property
    def decision(self) -> str:
        """When it decided, in words; steps counted from 1."""
        token = self.tokens[self.decided]
        named = (
            "" if not isinstance(self.sequence, str | list) and " " in token else f" ({reprlib.repr(token)})"
        )  # several numbers tell nothing
        told = f"step {self.decided + 1} of {len(self.tokens)}{named}"
        if len(self.steps) < len(self.tokens):
            return f"Decided by {told}: from there on the answer is {self.label!r} at each of the {len(self.steps)} steps asked."
        return f"Decided at {told}: from there on the answer stays {self.label!r}."

    @property
    def top(self) -> list[LayerTrace]:
        """The directions of the uppermost layer, which the pooling reads."""
        return [layer for layer in self.layers if layer.depth == self.layers[-1].depth]

    def to_dict(self) -> dict[str, Any]:
        """All of it but the sequence, as JSON values."""
        return {
            "tokens": self.tokens,
            "offsets": self.offsets,
            "labels": self.labels,
            "label": self.label,
            "decided": self.decided,
            "steps": self.steps.tolist(),
            "running": [[round(float(probability), 6) for probability in row] for row in self.running],
            "layers": [layer.to_dict() for layer in self.layers],
        }


def trace(model: SequenceClassifier, sequence: Any, *, prefixes: int = 256) -> Trace:
    """Follow a model through one sequence.

    Args:
        model: a fitted classifier.
        sequence: one, as for `predict`; a truncated one is followed as the model reads it.
        prefixes: after how many steps at most the model is asked for its answer, spread evenly over longer sequences.

    Raises:
        ConfigError: fewer than two prefixes; the model has no state at each token.
        DataError: the sequence is empty or cannot be used.
        NotFittedError: before `fit`.
    """
    if not isinstance(model, SequenceClassifier):
        raise ConfigError(
            f"A {type(model).__name__} is not followed: trace is for a SequenceClassifier. Ask what drove a tag instead: ostinato.explain."
        )
    if not hasattr(model, "model_"):
        raise NotFittedError(
            "This SequenceClassifier is not fitted yet: there is nothing to trace. Call fit(X, y) first, or ostinato.load(path)."
        )
    if prefixes < 2:
        raise ConfigError(
            f"prefixes {prefixes} is too few. Expected 2 or more: the first and the last step are always among them."
        )
    reason = why_not_traced(model)
    if reason is not None:
        raise ConfigError(
            f"There is no state at each token to trace: {reason}. Ask what drove an answer instead: ostinato explain."
        )
    given = as_sequences([sequence])
    encoded = model.encoder_.encode(given)
    refuse_empty(encoded)
    last = len(encoded.values) - 1
    steps = np.linspace(0, last, min(prefixes, last + 1)).round().astype(int)
    layers = list(_layers(model.model_, encoded))
    return Trace(
        given[0],
        *tokens_and_offsets(model, given[0]),
        layers,
        list(model.encoder_.labels),
        steps,
        _running(model, encoded.values, steps),
    )


def why_not_traced(model: SequenceClassifier) -> str | None:
    """Why a model cannot be followed token by token; None when it can."""
    config = model.model_config_
    if config.cell == "cnn":
        return "cell cnn reads windows, and carries nothing from step to step"
    if config.conv_pool > 1:
        return f"conv_pool {config.conv_pool} makes one step of {config.conv_pool} tokens"
    return None


@torch.inference_mode()
def _layers(model: Classifier, encoded: Ragged) -> Iterator[LayerTrace]:
    with opened(model):
        values = encoded.values.to(model.head.weight.device)
        layout = Layout(encoded.lengths, values.device)
        x, _ = model.stack_input(model.embed(values), layout)  # (T,) or (T, channels) -> (T, D)
        for depth, (layer, inputs, hidden, _) in enumerate(model.stack.layer_by_layer(x, layout), start=1):
            sides = layer.directions()
            for reverse, (weights, h) in enumerate(
                zip(sides, hidden.chunk(len(sides), dim=1), strict=True)
            ):  # (T, 2·H) -> 2 × (T, H)
                gates = (
                    layer.cell.activations(inputs, _before(h, reverse=bool(reverse)), weights)
                    if layer.cell.activations
                    else {}
                )
                yield LayerTrace(
                    depth, bool(reverse), _numbers(h), {name: _numbers(gate) for name, gate in gates.items()}
                )


def _before(h: Tensor, *, reverse: bool) -> Tensor:
    """The state that each step starts from. (T, H) -> (T, H)."""
    zero = h.new_zeros(1, h.shape[1])
    return torch.cat([h[1:], zero] if reverse else [zero, h[:-1]])


def _running(model: SequenceClassifier, values: Tensor, steps: np.ndarray) -> np.ndarray:
    """The probabilities of the prefixes that end after these steps. (K,) -> (K, C)."""
    size = max(1, STEPS_AT_A_TIME // len(values))
    ends = [(steps[start : start + size] + 1).tolist() for start in range(0, len(steps), size)]
    parts = [
        model.predict_encoded(Ragged(torch.cat([values[:end] for end in part]), torch.tensor(part))) for part in ends
    ]
    return np.concatenate(parts)


def _numbers(values: Tensor) -> np.ndarray:
    numbers: np.ndarray = values.float().cpu().numpy()
    return numbers


def _four_digits(values: np.ndarray) -> list[float]:
    return [float(f"{value:.4g}") for value in values]
