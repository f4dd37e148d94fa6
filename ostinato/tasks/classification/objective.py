"""The cross-entropy loss of classification."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.config import TrainingConfig
from ostinato.errors import ConfigError
from ostinato.evaluation.baselines import Crossfitted, Selection, class_head, fit_on_features, ridge_classes
from ostinato.evaluation.metrics import epoch_metrics
from ostinato.tasks.classification.codec import ClassCodec
from ostinato.tasks.classification.config import ClassificationTraining
from ostinato.tasks.classification.network import Classifier
from ostinato.tasks.sequences.labels import plain
from ostinato.training import predict_outputs
from ostinato.training.device import mixed_precision
from ostinato.training.divergence import categorical_divergence
from ostinato.training.objective import Labelled
from ostinato.training.ranks import ALONE, Ranks


@dataclass(frozen=True)
class CrossEntropy:
    """The cross-entropy of the labels: class indices (B,), or a probability of each class (B, C).

    Args:
        class_weight: (C,) weight of each class in the loss; None: 1 for each.
    """

    class_weight: Tensor | None = None

    def weight(self, batch: Labelled) -> float:
        if self.class_weight is None:
            return len(batch.targets)
        targets = batch.targets.cpu()
        of_rows = targets @ self.class_weight if targets.is_floating_point() else self.class_weight[targets]
        return float(of_rows.sum())

    def loss(self, model: Classifier, batch: Labelled, config: TrainingConfig) -> Tensor:
        return self.loss_of(model, self.outputs(model, batch, config), batch, config)

    def outputs(self, model: Classifier, batch: Labelled, config: TrainingConfig) -> Tensor:
        with mixed_precision(batch.sequences.values.device, config.precision):
            logits = batch.outputs(model)
        return logits.float()

    def loss_of(self, model: Classifier, outputs: Tensor, batch: Labelled, config: TrainingConfig) -> Tensor:
        assert isinstance(config, ClassificationTraining)
        weight = None if self.class_weight is None else self.class_weight.to(outputs.device)
        settings: dict[str, Any] = {"weight": weight, "label_smoothing": config.label_smoothing}
        if batch.weights is None:
            return F.cross_entropy(outputs, batch.targets, reduction="sum", **settings)
        return batch.weighted_sum(F.cross_entropy(outputs, batch.targets, reduction="none", **settings))

    def divergence(self, model: Classifier, outputs: Tensor, others: Tensor, batch: Labelled) -> Tensor:
        return batch.weighted_sum(categorical_divergence(outputs, others))

    def fit_linear(self, model: Classifier, features: Any, data: Labelled, selection: Selection) -> Crossfitted:
        """Fit a logistic regression, or ridge regressions of dense features, weighted as the loss is.

        Label smoothing does not apply.
        """
        targets, weights = data.targets.numpy(), None if data.weights is None else data.weights.double().numpy()
        if self.class_weight is not None:
            weights = self.class_weight.numpy()[targets] * (1 if weights is None else weights)
        if isinstance(features, np.ndarray):
            return ridge_classes(features, targets, model.head.out_features, weights)
        head = class_head(model.head.out_features)
        return fit_on_features(head, features, targets, weights, selection, crossfit=not model.is_linear)

    def metrics(self, model: Classifier, data: Labelled, ranks: Ranks = ALONE) -> dict[str, float]:
        weights = None if data.weights is None else data.weights.double().numpy()
        return epoch_metrics(data.targets.numpy(), predict_outputs(model, data.sequences, ranks).numpy(), weights)


def class_weights(
    setting: str | Mapping[Any, float] | None, codec: ClassCodec, targets: Tensor, row_weights: Tensor | None = None
) -> Tensor | None:
    """The weight of each class, (C,); `balanced` is n / (C · count), as in scikit-learn.

    Args:
        setting: None, `balanced`, or a mapping from label to weight. Labels may be given as text, as in config files;
            labels that are missing from the mapping get weight 1.
        targets: (n,) class indices of the training split.
        row_weights: (n,) a row of weight 2 counts as two rows; None: 1.

    Raises:
        ConfigError: `setting` names a label that does not occur in the training data, or a weight is not above 0.
    """
    if setting is None:
        return None
    if isinstance(setting, str):
        counts = torch.bincount(targets, row_weights, minlength=len(codec.labels)).float()
        return counts.sum() / (len(codec.labels) * counts)
    if not isinstance(setting, Mapping):
        raise ConfigError(
            f"class_weight {setting!r} is not valid. Expected None, 'balanced', or a mapping from label to weight."
        )
    by_text = {str(label): label for label in codec.labels}
    weights: dict[Any, float] = {}
    for name, weight in setting.items():
        label = plain(name)
        label = label if label in codec.labels else by_text.get(label) if isinstance(label, str) else None
        if label is None:
            known = ", ".join(map(str, codec.labels))
            raise ConfigError(
                f"class_weight: label {name!r} does not occur in the training data. Choose from: {known}."
            )
        if not isinstance(weight, int | float | np.number) or not 0 < float(weight) < np.inf:
            raise ConfigError(f"class_weight of {name!r} is {weight!r}. Expected a number above 0.")
        weights[label] = float(weight)
    return torch.tensor([weights.get(label, 1.0) for label in codec.labels])
