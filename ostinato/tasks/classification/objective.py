"""The cross-entropy of the labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.config import TrainingConfig
from ostinato.errors import ConfigError
from ostinato.evaluation.metrics import epoch_metrics
from ostinato.tasks.classification.codec import ClassCodec
from ostinato.tasks.classification.config import ClassificationTraining
from ostinato.tasks.classification.network import Classifier
from ostinato.tasks.sequences.labels import plain
from ostinato.training import predict_outputs
from ostinato.training.device import autocast
from ostinato.training.objective import Labelled


@dataclass(frozen=True)
class CrossEntropy:
    """The cross-entropy of each sequence's label.

    Args:
        class_weight: (C,) weight of each class in the loss.
    """

    class_weight: Tensor | None = None

    def weight(self, batch: Labelled) -> float:
        if self.class_weight is None:
            return len(batch.targets)
        return float(self.class_weight[batch.targets.cpu()].sum())

    def loss(self, model: Classifier, batch: Labelled, config: TrainingConfig) -> Tensor:
        assert isinstance(config, ClassificationTraining)
        with autocast(batch.sequences.values.device, config.precision):
            logits = model(batch.sequences.values, batch.sequences.lengths)
        weight = None if self.class_weight is None else self.class_weight.to(logits.device)
        smoothing = config.label_smoothing
        return F.cross_entropy(logits.float(), batch.targets, weight=weight, reduction="sum", label_smoothing=smoothing)

    def metrics(self, model: Classifier, data: Labelled) -> dict[str, float]:
        return epoch_metrics(data.targets.numpy(), predict_outputs(model, data.sequences).numpy())


def class_weights(setting: str | Mapping[Any, float] | None, codec: ClassCodec, targets: Tensor) -> Tensor | None:
    """The weight of each class (C,): `balanced` gives n / (C · count), as in scikit-learn.

    A mapping names labels as they are or, as a config file has them, as text.

    Raises:
        ConfigError: a mapping names a label that training does not have, or a weight that is not above 0.
    """
    if setting is None:
        return None
    if isinstance(setting, str):
        counts = torch.bincount(targets, minlength=len(codec.labels)).float()
        return len(targets) / (len(codec.labels) * counts)
    if not isinstance(setting, Mapping):
        raise ConfigError(
            f"class_weight {setting!r} is not valid. Expected None, 'balanced', or a mapping from label to weight."
        )
    by_text = {str(label): label for label in codec.labels}
    weights: dict[Any, float] = {}
    for given, weight in setting.items():
        label = plain(given)
        label = label if label in codec.labels else by_text.get(label) if isinstance(label, str) else None
        if label is None:
            known = ", ".join(map(str, codec.labels))
            raise ConfigError(f"class_weight names the label {given!r}, which training does not have. Labels: {known}.")
        if not isinstance(weight, int | float | np.number) or not 0 < float(weight) < np.inf:
            raise ConfigError(f"class_weight of {given!r} is {weight!r}. Expected a number above 0.")
        weights[label] = float(weight)
    return torch.tensor([weights.get(label, 1.0) for label in codec.labels])
