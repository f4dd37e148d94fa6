"""The part of a task that an exported model needs: from raw input to a graph's inputs, and from its outputs to answers.

It imports neither PyTorch nor pydantic. `portable.py` in a task's folder has a class `Portable`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np

from ostinato.errors import ConfigError, RunError

NEXT = "next_"  # what the name of a state's output begins with, in a graph that reads sequences in pieces

Arrays = dict[str, np.ndarray]
Outputs = Mapping[str, Sequence[np.ndarray]]  # for each output of a graph, one array per sequence


@dataclass(frozen=True, eq=False)
class StreamAnswer:
    """The answer for what a stream has read so far.

    Args:
        steps: tokens or steps that the model has read; 0: the answer rests on nothing.
        json: the answer as `ostinato predict` prints it.
        probabilities: (C,) in the order of `classes_`; None for predicted numbers. Of a tagger (n, C), of the new
            tokens.
        label: the most probable label; of a multilabel model a tuple of labels.
        prediction: the predicted number, or (K,) for several targets.
        confidence: the probability of the answer, which `decided` compares with its threshold.
        tokens: of a tagger, the new tokens.
        tags: of a tagger, the tags of the new tokens.
    """

    steps: int
    json: dict[str, Any]
    probabilities: np.ndarray | None = None
    label: Any = None
    prediction: Any = None
    confidence: float | None = None
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


class Portable(ABC):
    """How a model reads and answers, from the facts in its ONNX file.

    Args:
        encoder: as `to_json` of the task's encoder wrote it.
        answer: how outputs become answers, as the task's `onnx` wrote it.

    Raises:
        KeyError, TypeError, ValueError: a fact is missing or of a wrong type.
    """

    encoding: Any  # the fitted encoding of the input

    @abstractmethod
    def __init__(self, encoder: dict[str, Any], answer: dict[str, Any]) -> None: ...

    @property
    @abstractmethod
    def classes(self) -> np.ndarray | None:
        """The labels in the order of the probabilities; None for numbers."""

    @abstractmethod
    def encode(self, X: Iterable[Any], sources: Sequence[str] | None = None) -> "Encoded":
        """Encode sequences of the kinds that the estimator's `predict` takes.

        Args:
            sources: names of the sequences, for messages.

        Raises:
            DataError: a sequence is empty or of another kind than in training; names it.
        """

    @abstractmethod
    def predict(self, outputs: Outputs) -> Any:
        """The predictions, as the estimator's `predict` returns them."""

    @abstractmethod
    def predict_proba(self, outputs: Outputs) -> Any:
        """The probabilities, as the estimator's `predict_proba` returns them.

        Raises:
            ConfigError: the task predicts numbers.
        """

    def agreement(self, outputs: Outputs, others: Outputs) -> float:
        """How far two models predict the same: the share of sequences with equal predictions."""
        pairs = zip(self.predict(outputs), self.predict(others), strict=True)
        return float(np.mean([np.array_equal(one, other) for one, other in pairs]))

    def stream_answer(self, output: Arrays, steps: int) -> StreamAnswer:
        """The answer of a stream after `steps` steps, from the outputs for one sequence.

        Raises:
            ConfigError: the task has no streams.
        """
        raise ConfigError("This model has no streams.")

    @abstractmethod
    def as_json(self, sequence: Any, output: Arrays) -> dict[str, Any]:
        """The answer to one sequence, as `ostinato predict` prints it."""


class Encoded(ABC):
    """Encoded sequences.

    Attributes:
        lengths: (n,) int64.
        all_unknown: (n,) whether every token of a sequence is out of vocabulary.
    """

    lengths: np.ndarray
    all_unknown: np.ndarray

    @abstractmethod
    def inputs(self, rows: np.ndarray) -> Arrays:
        """The graph's inputs for the sequences at `rows`, padded to the longest of them."""


def refuse_threshold(threshold: float) -> None:
    """Refuse a threshold that is not a probability above 0.

    Raises:
        ConfigError: names it.
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"threshold {threshold} is not a probability. Expected a number above 0, at most 1.")


def portable_of(task: str, encoder: dict[str, Any], answer: dict[str, Any]) -> Portable:
    """The portable part of the task with that name.

    Raises:
        RunError: there is no such task, or the facts are not valid.
    """
    import ostinato.tasks as package

    if task not in {each.name for each in iter_modules(package.__path__) if each.ispkg}:
        raise RunError(f"unknown task {task!r}. Upgrade Ostinato, or export the model again.")
    kind: type[Portable] = import_module(f"ostinato.tasks.{task}.portable").Portable
    try:
        return kind(encoder, answer)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise RunError(f"its description is not valid ({error!r}). Export the model again.") from None
