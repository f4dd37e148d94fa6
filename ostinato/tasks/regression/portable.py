"""What an exported regressor needs. No PyTorch here."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ostinato.tasks.portable import Arrays, Outputs, StreamAnswer
from ostinato.tasks.sequences.portable import SequencePortable, no_probabilities

DIGITS = 7  # a network computes in float32
PLURAL = {"prediction": "predictions", "interval": "intervals", "quantiles": "quantiles"}


class Portable(SequencePortable):
    """A number for each of K targets, and its quantiles if the model predicts any."""

    classes = None

    def __init__(self, encoder: dict[str, Any], answer: dict[str, Any]) -> None:
        super().__init__(encoder, answer)
        self.names: list[str] = list(answer["names"])
        self.levels: list[float] = list(answer["levels"])

    def predict(self, outputs: Outputs) -> np.ndarray:
        """The predicted numbers, (n,), or (n, K) for several targets."""
        numbers = np.stack(list(outputs["predictions"]))[:, : len(self.names)]
        return numbers[:, 0] if len(self.names) == 1 else numbers

    def predict_proba(self, outputs: Outputs) -> np.ndarray:
        raise no_probabilities()

    def agreement(self, outputs: Outputs, others: Outputs) -> float:
        """The share of the variance of predictions that the others explain, at least 0; the mean over the targets."""
        count = len(self.names)
        ours, theirs = (np.stack(list(each["predictions"]))[:, :count] for each in (outputs, others))
        error, variance = np.square(ours - theirs).mean(axis=0), ours.var(axis=0)  # (n, K) -> (K,)
        unexplained = np.divide(error, variance, out=(error > 0).astype(np.float64), where=variance > 0)
        return float((1 - unexplained).clip(min=0).mean())

    def stream_answer(self, output: Arrays, steps: int) -> StreamAnswer:
        return stream_answer(output["predictions"][: len(self.names)], self.as_json(None, output), steps)

    def as_json(self, sequence: Any, output: Arrays) -> dict[str, Any]:
        count = len(self.names)
        quantiles = output.get("quantiles", np.empty((count, 0)))
        return answer_json(self.names, output["predictions"][:count].tolist(), quantiles.tolist(), self.levels)


def answer_json(
    names: Sequence[str], predicted: Sequence[float], quantiles: Sequence[Sequence[float]], levels: Sequence[float]
) -> dict[str, Any]:
    """`prediction`, and with several quantiles also `interval` (the outermost two) and `quantiles`.

    With several targets: `predictions`, `intervals` and `quantiles`, each an object with a value per target.

    Args:
        predicted: a number for each of K targets.
        quantiles: Q numbers for each target, in increasing order.
        levels: the Q quantiles.
    """
    found = [_fields(*each, levels) for each in zip(predicted, quantiles, strict=True)]
    if len(names) == 1:
        return found[0]
    return {PLURAL[key]: {name: fields[key] for name, fields in zip(names, found, strict=True)} for key in found[0]}


def _fields(prediction: float, quantiles: Sequence[float], levels: Sequence[float]) -> dict[str, Any]:
    fields: dict[str, Any] = {"prediction": rounded(prediction)}
    if len(quantiles) > 1:
        numbers = [rounded(number) for number in quantiles]
        fields["interval"] = [numbers[0], numbers[-1]]
        fields["quantiles"] = {f"{level:g}": number for level, number in zip(levels, numbers, strict=True)}
    return fields


def rounded(number: float) -> float:
    """The digits that a network computes."""
    return float(f"{number:.{DIGITS}g}")


def stream_answer(predicted: np.ndarray, fields: dict[str, Any], steps: int) -> StreamAnswer:
    """The predicted numbers (K,) after `steps` steps, and the answer as JSON values."""
    return StreamAnswer(steps, fields, prediction=float(predicted[0]) if len(predicted) == 1 else predicted)
