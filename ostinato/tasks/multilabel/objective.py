"""The binary cross-entropy of the labels, and the calibration of a trained network."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.config import TrainingConfig
from ostinato.evaluation.baselines import Crossfitted, Selection, fit_on_features, label_head, ridge_labels
from ostinato.tasks.multilabel.config import MultilabelTraining
from ostinato.tasks.multilabel.metrics import choose_thresholds, fit_temperatures
from ostinato.tasks.multilabel.network import MultilabelClassifier
from ostinato.training import predict_outputs
from ostinato.training.device import mixed_precision
from ostinato.training.divergence import bernoulli_divergence
from ostinato.training.objective import Labelled
from ostinato.training.ranks import ALONE, Ranks

FEWEST_POSITIVES = 10  # rows with a label from which a threshold is chosen for it


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """The binary cross-entropy of each sequence's labels, summed over the labels.

    Args:
        label_weight: (L,) weight in the loss of the rows that have a label.
    """

    label_weight: Tensor | None = None

    def weight(self, batch: Labelled) -> float:
        return len(batch.targets)

    def loss(self, model: MultilabelClassifier, batch: Labelled, config: TrainingConfig) -> Tensor:
        return self.loss_of(model, self.outputs(model, batch, config), batch, config)

    def outputs(self, model: MultilabelClassifier, batch: Labelled, config: TrainingConfig) -> Tensor:
        with mixed_precision(batch.sequences.values.device, config.precision):
            logits = batch.outputs(model)
        return logits.float()

    def loss_of(self, model: MultilabelClassifier, outputs: Tensor, batch: Labelled, config: TrainingConfig) -> Tensor:
        assert isinstance(config, MultilabelTraining)
        weight = None if self.label_weight is None else self.label_weight.to(outputs.device)
        targets = batch.targets * (1 - config.label_smoothing) + config.label_smoothing / 2
        if batch.weights is None:
            return F.binary_cross_entropy_with_logits(outputs, targets, pos_weight=weight, reduction="sum")
        losses = F.binary_cross_entropy_with_logits(outputs, targets, pos_weight=weight, reduction="none")
        return batch.weighted_sum(losses.sum(dim=1))

    def divergence(self, model: MultilabelClassifier, outputs: Tensor, others: Tensor, batch: Labelled) -> Tensor:
        return batch.weighted_sum(bernoulli_divergence(outputs, others))

    def fit_linear(
        self, model: MultilabelClassifier, features: Any, data: Labelled, selection: Selection
    ) -> Crossfitted:
        """Fit a logistic regression per label, or a ridge regression of dense features, weighted as the loss is.

        Label smoothing does not apply.
        """
        targets = data.targets.numpy()
        weights = np.ones(targets.shape) if data.weights is None else data.weights.double().numpy()[:, None]
        if self.label_weight is not None:
            weights = weights * np.where(targets == 1, self.label_weight.numpy(), 1.0)
        weights = np.broadcast_to(weights, targets.shape)
        if isinstance(features, np.ndarray):
            return ridge_labels(features, targets, weights)
        head = label_head(targets.shape[1])
        return fit_on_features(head, features, targets, weights, selection, crossfit=not model.is_linear)

    def metrics(self, model: MultilabelClassifier, data: Labelled, ranks: Ranks = ALONE) -> dict[str, float]:
        return epoch_metrics(data.targets, predict_outputs(model, data.sequences, ranks), data.weights)


def epoch_metrics(targets: Tensor, logits: Tensor, weights: Tensor | None = None) -> dict[str, float]:
    """Score logits (B, L) after an epoch: `loss`, summed over the labels, and F1 scores at thresholds of 0.5.

    A label that no row has and that is not predicted does not count in `macro_f1`; both scores are 0 without any other.

    Args:
        weights: (B,) of the rows; None: 1.
    """
    w = (torch.ones(len(targets)) if weights is None else weights).double()
    loss = w @ F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(dim=1).double() / w.sum()
    is_true, is_predicted = targets == 1, logits >= 0
    right = w @ (is_true & is_predicted).double()  # (B,), (B, L) -> (L,)
    total = w @ (is_true.double() + is_predicted.double())
    counted = total > 0
    micro = 2 * right.sum() / total.sum() if counted.any() else 0.0
    macro = (2 * right[counted] / total[counted]).sum() / counted.sum().clamp(min=1)
    return {"loss": float(loss), "micro_f1": float(micro), "macro_f1": float(macro)}


def label_weights(setting: str | None, targets: Tensor, weights: Tensor | None = None) -> Tensor | None:
    """The weight of rows with each label (L,), from targets (B, L): `balanced` gives rows without it / rows with it.

    A label that all rows have or lack has weight 1. A row of weight 2 counts as two rows.
    """
    if setting is None:
        return None
    positive = targets.sum(dim=0) if weights is None else weights @ targets
    negative = (1 - targets).sum(dim=0) if weights is None else weights @ (1 - targets)
    return torch.where((positive > 0) & (negative > 0), negative / positive, torch.ones(()))


def calibrate(network: MultilabelClassifier, logits: Tensor, targets: Tensor, config: MultilabelTraining) -> None:
    """Fit each label's temperature and choose its threshold on the validation split; (B, L) and (B, L).

    The threshold of a label that fewer than 10 rows have would say more about these rows than about the label: it
    stays 0.5.
    """
    if config.calibrate:
        network.temperatures.copy_(torch.from_numpy(fit_temperatures(logits.numpy(), targets.numpy())))
    if config.thresholds == "f1":
        chosen = choose_thresholds(targets.numpy(), network.answers(logits).cpu().numpy())
        is_frequent = targets.numpy().sum(axis=0) >= FEWEST_POSITIVES
        network.thresholds.copy_(torch.from_numpy(np.where(is_frequent, chosen, 0.5)))
