"""Ensembles of multilabel classifiers."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor

from ostinato.evaluation.ensembles import mixture_weights
from ostinato.nn.ensemble import Ensemble
from ostinato.tasks.multilabel.metrics import multilabel_metrics
from ostinato.tasks.multilabel.network import MultilabelEnsemble
from ostinato.tasks.records import Model
from ostinato.tasks.sequences.ensemble import SequenceJoining
from ostinato.training.objective import Labelled


class MultilabelJoining(SequenceJoining):
    """Averages the calibrated probability of each label."""

    network_type: ClassVar[type[Ensemble]] = MultilabelEnsemble

    def fit_weights(self, model: Model, outputs: Sequence[Tensor], examples: Labelled) -> np.ndarray:
        is_true = examples.targets.numpy() == 1  # (B, L)
        likelihoods = []
        for member, each in zip(model.members, outputs, strict=True):
            probabilities = member.network.answers(each).cpu().numpy()
            likelihoods.append(np.where(is_true, probabilities, 1 - probabilities).reshape(-1))
        return mixture_weights(np.stack(likelihoods))

    def scores(self, model: Model, examples: Labelled, outputs: Tensor) -> dict[str, float]:
        targets, probabilities = examples.targets.numpy(), model.network.answers(outputs).cpu().numpy()
        thresholds = model.network.thresholds.cpu().numpy()
        found = multilabel_metrics(targets, probabilities, thresholds, model.codec.labels, resamples=0)
        brier = float(np.square(probabilities.astype(np.float64) - targets).mean())
        scores = {"micro_f1": found.micro_f1, "log_loss": found.log_loss, "brier": brier, "ece": found.ece}
        return {name: value for name, value in scores.items() if value is not None}

    def agreement(self, model: Model, one: Tensor, other: Tensor) -> float:
        """The share of labels for which both are on the same side of a probability of 0.5."""
        return float(((one >= 0) == (other >= 0)).double().mean())
