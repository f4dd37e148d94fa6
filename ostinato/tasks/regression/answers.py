"""A predicted row as JSON values."""

from typing import Any

from torch import Tensor

from ostinato.tasks.base import Model

DIGITS = 7  # a network computes in float32
PLURAL = {"prediction": "predictions", "interval": "intervals", "quantiles": "quantiles"}


def answer_json(model: Model, answers: Tensor) -> dict[str, Any]:
    """One answer as JSON: `prediction`, and with quantiles also `interval` (the outermost two) and `quantiles`.

    With several targets: `predictions`, `intervals` and `quantiles`, each an object with a value per target.

    Shapes:
        answers (C,)
    """
    network, names = model.network, model.codec.names
    predicted = network.predictions(answers[None])[0].tolist()
    quantiles = network.quantiles(answers[None])[0].tolist()  # K lists of Q numbers
    found = [_fields(*each, network.levels) for each in zip(predicted, quantiles, strict=True)]
    if len(names) == 1:
        return found[0]
    return {PLURAL[key]: {name: fields[key] for name, fields in zip(names, found, strict=True)} for key in found[0]}


def _fields(prediction: float, quantiles: list[float], levels: tuple[float, ...]) -> dict[str, Any]:
    fields: dict[str, Any] = {"prediction": rounded(prediction)}
    if len(quantiles) > 1:
        numbers = [rounded(number) for number in quantiles]
        fields["interval"] = [numbers[0], numbers[-1]]
        fields["quantiles"] = {f"{level:g}": number for level, number in zip(levels, numbers, strict=True)}
    return fields


def rounded(number: float) -> float:
    """The digits that a network computes."""
    return float(f"{number:.{DIGITS}g}")
