"""What an exported classifier needs. No PyTorch here."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ostinato.tasks.portable import Arrays, Outputs, StreamAnswer
from ostinato.tasks.sequences.portable import LabelPortable, by_label


class Portable(LabelPortable):
    """One of C labels."""

    def predict(self, outputs: Outputs) -> np.ndarray:
        """The most probable label of each sequence, (n,)."""
        return np.asarray(self.classes[self.predict_proba(outputs).argmax(axis=1)])

    def stream_answer(self, output: Arrays, steps: int) -> StreamAnswer:
        return stream_answer(self.labels, output["probabilities"], steps)

    def as_json(self, sequence: Any, output: Arrays) -> dict[str, Any]:
        return answer_json(self.labels, output["probabilities"])


def answer_json(labels: Sequence[Any], probabilities: np.ndarray) -> dict[str, Any]:
    """The most probable label, and the probabilities (C,) of all."""
    return {"label": labels[int(probabilities.argmax())], "probabilities": by_label(labels, probabilities)}


def confidence(probabilities: np.ndarray) -> np.ndarray:
    """The probability of the most probable label. (…, C) -> (…)."""
    highest: np.ndarray = probabilities.max(axis=-1)
    return highest


def stream_answer(labels: Sequence[Any], probabilities: np.ndarray, steps: int) -> StreamAnswer:
    """The most probable label after `steps` steps, from the probabilities (C,)."""
    label = labels[int(probabilities.argmax())]
    certain = float(confidence(probabilities))
    return StreamAnswer(steps, answer_json(labels, probabilities), probabilities, label, confidence=certain)
