"""What an exported multilabel classifier needs. No PyTorch here."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ostinato.tasks.portable import Arrays, Outputs, StreamAnswer
from ostinato.tasks.sequences.portable import LabelPortable, by_label


class Portable(LabelPortable):
    """Every label whose probability reaches its threshold."""

    def __init__(self, encoder: dict[str, Any], answer: dict[str, Any]) -> None:
        super().__init__(encoder, answer)
        self.is_indicator = bool(answer["is_indicator"])
        self.thresholds = np.array(answer["thresholds"], np.float32)

    def predict(self, outputs: Outputs) -> Any:
        """An indicator matrix (n, L) of 0 and 1, or a list of tuples of labels: what y was in training."""
        reached = self.predict_proba(outputs) >= self.thresholds
        return reached.astype(np.int64) if self.is_indicator else [tuple(chosen(self.labels, row)) for row in reached]

    def stream_answer(self, output: Arrays, steps: int) -> StreamAnswer:
        probabilities = output["probabilities"]
        return stream_answer(self.labels, probabilities, probabilities >= self.thresholds, steps)

    def as_json(self, sequence: Any, output: Arrays) -> dict[str, Any]:
        probabilities = output["probabilities"]
        return answer_json(self.labels, probabilities, probabilities >= self.thresholds)


def answer_json(labels: Sequence[Any], probabilities: np.ndarray, reached: np.ndarray) -> dict[str, Any]:
    """The predicted labels, and the probabilities (L,) of all."""
    return {"labels": chosen(labels, reached), "probabilities": by_label(labels, probabilities)}


def chosen(labels: Sequence[Any], reached: np.ndarray) -> list[Any]:
    """The labels at which `reached` (L,) is true."""
    return [labels[index] for index in np.flatnonzero(reached).tolist()]


def confidence(probabilities: np.ndarray) -> np.ndarray:
    """The probability of the least certain decision on a label. (…, L) -> (…)."""
    lowest: np.ndarray = np.maximum(probabilities, 1 - probabilities).min(axis=-1)
    return lowest


def stream_answer(labels: Sequence[Any], probabilities: np.ndarray, reached: np.ndarray, steps: int) -> StreamAnswer:
    """The predicted labels after `steps` steps, from the probabilities (L,) and whether they reach their thresholds."""
    fields, certain = answer_json(labels, probabilities, reached), float(confidence(probabilities))
    return StreamAnswer(steps, fields, probabilities, tuple(fields["labels"]), confidence=certain)
