"""From the outputs of a graph to answers. Like the runner, it needs NumPy alone."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ostinato.errors import ConfigError

Outputs = Mapping[str, np.ndarray]  # by name; the first axis is the batch
DIGITS = 7  # a network computes in float32


class Answers(Protocol):
    """How the outputs of a graph become answers.

    Args:
        output: the output that answers are made of.
    """

    output: str

    def predict(self, outputs: Outputs) -> Any:
        """The predictions, as the estimator's `predict` gives them."""

    def as_json(self, outputs: Outputs, row: int) -> dict[str, Any]:
        """One answer, as `ostinato predict` prints it."""


class OneLabel:
    """One of C labels.

    Args:
        labels: in the order of the probabilities.
    """

    output = "probabilities"

    def __init__(self, *, labels: list[Any]) -> None:
        self.labels = labels
        self.classes = array_of(labels)

    def predict(self, outputs: Outputs) -> np.ndarray:
        """The most probable label of each row, (n,)."""
        return np.asarray(self.classes[outputs[self.output].argmax(axis=1)])

    def as_json(self, outputs: Outputs, row: int) -> dict[str, Any]:
        probabilities = outputs[self.output][row]
        return {
            "label": self.labels[int(probabilities.argmax())],
            "probabilities": _by_label(self.labels, probabilities),
        }


class AnyLabels:
    """Every one of L labels whose probability reaches its threshold.

    Args:
        labels: in the order of the probabilities.
        is_indicator: predictions are a matrix of 0 and 1, else tuples of labels.
        thresholds: the probability from which each label is predicted.
    """

    output = "probabilities"

    def __init__(self, *, labels: list[Any], is_indicator: bool, thresholds: list[float]) -> None:
        self.labels, self.is_indicator = labels, is_indicator
        self.classes = array_of(labels)
        self.thresholds = np.array(thresholds, np.float32)

    def predict(self, outputs: Outputs) -> Any:
        """A matrix (n, L) of 0 and 1, or a list of tuples of labels: what y was in training."""
        reached = outputs[self.output] >= self.thresholds
        return reached.astype(np.int64) if self.is_indicator else [self._labels(row) for row in reached]

    def as_json(self, outputs: Outputs, row: int) -> dict[str, Any]:
        probabilities = outputs[self.output][row]
        labels = self._labels(probabilities >= self.thresholds)
        return {"labels": list(labels), "probabilities": _by_label(self.labels, probabilities)}

    def _labels(self, reached: np.ndarray) -> tuple[Any, ...]:
        return tuple(self.labels[index] for index in np.flatnonzero(reached))


class Numbers:
    """A number for each of K targets, and its quantiles if the network predicts any.

    Args:
        names: of the targets.
        levels: the quantiles in increasing order; empty without any.
    """

    output = "predictions"

    def __init__(self, *, names: list[str], levels: list[float]) -> None:
        self.names, self.levels = names, levels

    def predict(self, outputs: Outputs) -> np.ndarray:
        """The predicted numbers, (n,), or (n, K) for several targets."""
        numbers = outputs[self.output][:, : len(self.names)]
        return numbers[:, 0] if len(self.names) == 1 else numbers

    def quantiles(self, outputs: Outputs) -> np.ndarray:
        """The quantiles of each target, (n, K, Q).

        Raises:
            ConfigError: the model predicts none.
        """
        if not self.levels:
            raise ConfigError("This model predicts no quantiles. Train with training.loss = quantile.")
        return outputs["quantiles"] if len(self.levels) > 1 else outputs[self.output][:, :, None]

    def as_json(self, outputs: Outputs, row: int) -> dict[str, Any]:
        found = [self._fields(outputs, row, target) for target in range(len(self.names))]
        if len(found) == 1:
            return found[0]
        plural = {"prediction": "predictions", "interval": "intervals", "quantiles": "quantiles"}
        return {plural[key]: {name: each[key] for name, each in zip(self.names, found, strict=True)} for key in found[0]}

    def _fields(self, outputs: Outputs, row: int, target: int) -> dict[str, Any]:
        fields: dict[str, Any] = {"prediction": _rounded(outputs[self.output][row, target])}
        if len(self.levels) > 1:
            numbers = [_rounded(number) for number in outputs["quantiles"][row, target]]
            fields["interval"] = [numbers[0], numbers[-1]]
            fields["quantiles"] = {f"{level:g}": number for level, number in zip(self.levels, numbers, strict=True)}
        return fields


KINDS: dict[str, Any] = {"class": OneLabel, "labels": AnyLabels, "numbers": Numbers}


def array_of(labels: list[Any]) -> np.ndarray:
    """Labels as an array: of strings or numbers if all are of one type, else of objects."""
    if len({type(label) for label in labels}) == 1 and isinstance(labels[0], str | int | float):
        return np.array(labels)
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def _by_label(labels: list[Any], probabilities: np.ndarray) -> dict[str, float]:
    return {str(label): round(float(each), 6) for label, each in zip(labels, probabilities, strict=True)}


def _rounded(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")
