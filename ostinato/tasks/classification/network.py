"""The classifier as a module."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from ostinato.nn.ensemble import Ensemble
from ostinato.nn.sequence_network import SequenceNetwork, log_odds

LEAST = 1e-30  # of a mean probability, whose logarithm stays finite


class Classifier(SequenceNetwork):
    """A sequence network whose outputs are the logits of C classes.

    Attributes:
        temperature: the scalar that divides the logits; fitted by calibration.
    """

    RANGES: ClassVar[Mapping[str, tuple[float, float]]] = {"temperature": (0.01, 100.0)}

    temperature: Tensor

    def __init__(self, *, num_outputs: int, **parts: object) -> None:
        super().__init__(num_outputs=num_outputs, **parts)  # type: ignore[arg-type]
        self.register_buffer("temperature", torch.ones(()))

    def explained(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The log-odds of the class."""
        return log_odds(outputs, targets)

    def chosen(self, outputs: Tensor) -> Tensor:
        """The most probable class."""
        return outputs.argmax(dim=1)

    def answers(self, outputs: Tensor) -> Tensor:
        """Calibrated probabilities: softmax(logits / temperature). (B, C) -> (B, C)."""
        return torch.softmax(outputs.float() / self.temperature.to(outputs.device), dim=-1)

    def outputs_for(self, answers: Tensor) -> Tensor:
        """The logarithms of the probabilities."""
        return answers.clamp(min=LEAST).log()


class ClassifierEnsemble(Classifier, Ensemble):
    """The mean probabilities of several classifiers, calibrated once more by its own temperature."""

    RANGES: ClassVar[Mapping[str, tuple[float, float]]] = {**Classifier.RANGES, **Ensemble.RANGES}
