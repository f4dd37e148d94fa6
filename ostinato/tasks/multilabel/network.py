"""The multilabel classifier as a module."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from ostinato.nn.ensemble import Ensemble
from ostinato.nn.sequence_network import SequenceNetwork

LEAST = 1e-9  # how far a mean probability stays from 0 and 1, so that its logit is finite


class MultilabelClassifier(SequenceNetwork):
    """A sequence network whose outputs are the logits of L labels, each decided by itself.

    Attributes:
        temperatures: (L,) what each label's logit is divided by; calibration fits them.
        thresholds: (L,) the probability from which a label is predicted.
    """

    RANGES: ClassVar[Mapping[str, tuple[float, float]]] = {"temperatures": (0.01, 100.0), "thresholds": (0.0, 1.0)}

    temperatures: Tensor
    thresholds: Tensor

    def __init__(self, *, num_outputs: int, **parts: object) -> None:
        super().__init__(num_outputs=num_outputs, **parts)  # type: ignore[arg-type]
        self.register_buffer("temperatures", torch.ones(num_outputs))
        self.register_buffer("thresholds", torch.full((num_outputs,), 0.5))

    def explained(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The label's logit, its log-odds: log p − log(1 − p)."""
        return outputs.gather(1, targets.unsqueeze(1)).squeeze(1)  # (B, L) -> (B,)

    def chosen(self, outputs: Tensor) -> Tensor:
        """The most probable label."""
        return self.answers(outputs).argmax(dim=1)

    def answers(self, outputs: Tensor) -> Tensor:
        """Calibrated probabilities: the sigmoid of each logit over its temperature. (B, L) -> (B, L)."""
        logits = outputs.double() / self.temperatures.to(outputs.device)
        # In float32, PyTorch's vectorised sigmoid and the one for the rest of a batch differ in the last bit.
        return torch.sigmoid(logits).float()

    def decisions(self, answers: Tensor) -> Tensor:
        """Which labels are predicted: those whose probability reaches its threshold. (..., L) -> (..., L) booleans."""
        return answers >= self.thresholds.to(answers.device)

    def outputs_for(self, answers: Tensor) -> Tensor:
        """The logits of the probabilities."""
        return torch.logit(answers, eps=LEAST)


class MultilabelEnsemble(MultilabelClassifier, Ensemble):
    """The mean probabilities of several multilabel classifiers, with temperatures and thresholds of its own."""

    RANGES: ClassVar[Mapping[str, tuple[float, float]]] = {**MultilabelClassifier.RANGES, **Ensemble.RANGES}
