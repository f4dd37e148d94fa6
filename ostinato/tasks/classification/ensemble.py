"""Ensembles of classifiers."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor

from ostinato.evaluation.calibration import brier_score
from ostinato.evaluation.ensembles import mixture_weights
from ostinato.evaluation.metrics import classification_metrics
from ostinato.nn.ensemble import Ensemble
from ostinato.tasks.classification.network import ClassifierEnsemble
from ostinato.tasks.records import Model
from ostinato.tasks.sequences.ensemble import SequenceJoining
from ostinato.training.objective import Labelled


class ClassifierJoining(SequenceJoining):
    """Averages calibrated probabilities."""

    network_type: ClassVar[type[Ensemble]] = ClassifierEnsemble

    def fit_weights(self, model: Model, outputs: Sequence[Tensor], examples: Labelled) -> np.ndarray:
        targets = examples.targets.unsqueeze(1)
        of_targets = [
            member.network.answers(each).gather(1, targets).squeeze(1).cpu().numpy()  # (B, C) -> (B,)
            for member, each in zip(model.members, outputs, strict=True)
        ]
        return mixture_weights(np.stack(of_targets))

    def scores(self, model: Model, examples: Labelled, outputs: Tensor) -> dict[str, float]:
        targets, probabilities = examples.targets.numpy(), model.network.answers(outputs).cpu().numpy()
        found = classification_metrics(targets, probabilities, labels=model.codec.labels)
        brier = brier_score(targets, probabilities)
        return {"accuracy": found.accuracy, "log_loss": found.log_loss, "brier": brier, "ece": found.ece}

    def agreement(self, model: Model, one: Tensor, other: Tensor) -> float:
        """The share of rows for which both predict the same class."""
        return float((one.argmax(dim=1) == other.argmax(dim=1)).double().mean())
