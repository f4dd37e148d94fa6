"""The error of the predicted numbers, as a loss and as validation metrics."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.config import TrainingConfig
from ostinato.evaluation.baselines import Crossfitted, Selection, fit_on_features, number_head, ridge_numbers
from ostinato.tasks.regression.network import Regressor
from ostinato.training import predict_outputs
from ostinato.training.device import mixed_precision
from ostinato.training.objective import Labelled
from ostinato.training.ranks import ALONE, Ranks

ERRORS: dict[str, Any] = {"squared": F.mse_loss, "absolute": F.l1_loss, "huber": F.huber_loss}  # huber's delta is 1


@dataclass(frozen=True)
class PredictionError:
    """The error of standardised numbers, the mean over the targets of each sequence.

    Args:
        loss_name: squared, absolute, huber or quantile (the pinball loss, the mean over the quantiles too).
    """

    loss_name: str

    def weight(self, batch: Labelled) -> float:
        return len(batch.targets)

    def loss(self, model: Regressor, batch: Labelled, config: TrainingConfig) -> Tensor:
        return self.loss_of(model, self.outputs(model, batch, config), batch, config)

    def outputs(self, model: Regressor, batch: Labelled, config: TrainingConfig) -> Tensor:
        with mixed_precision(batch.sequences.values.device, config.precision):
            outputs = batch.outputs(model)
        return outputs.float()

    def loss_of(self, model: Regressor, outputs: Tensor, batch: Labelled, config: TrainingConfig) -> Tensor:
        return batch.weighted_sum(self._errors(model, outputs, batch.targets))

    def divergence(self, model: Regressor, outputs: Tensor, others: Tensor, batch: Labelled) -> Tensor:
        """The mean squared difference of the standardised numbers."""
        return batch.weighted_sum((outputs - others).square().mean(dim=1))

    def fit_linear(self, model: Regressor, features: Any, data: Labelled, selection: Selection) -> Crossfitted:
        """Fit a ridge regression. A quantile is its prediction plus that quantile of the errors."""
        targets = data.targets.double().numpy()
        weights = None if data.weights is None else data.weights.double().numpy()
        if isinstance(features, np.ndarray):
            ridge, unseen = ridge_numbers(features, targets, weights)
        else:
            head, crossfit = number_head(targets), not model.is_linear
            ridge, unseen = fit_on_features(head, features, targets, weights, selection, crossfit=crossfit)
        if not model.levels:
            return Crossfitted(ridge, unseen)
        levels = [model.levels[index] for index in model.order]
        errors = np.quantile(
            targets - (ridge.outputs(features) if unseen is None else unseen), levels, axis=0
        )  # (Q, K)
        slopes, bias = np.tile(ridge.weights, len(levels)), (ridge.bias + errors).ravel()
        of_levels = None if unseen is None else np.tile(unseen, len(levels)) + errors.ravel()
        return Crossfitted(replace(ridge, weights=slopes, bias=bias), of_levels)

    def metrics(self, model: Regressor, data: Labelled, ranks: Ranks = ALONE) -> dict[str, float]:
        """`loss` of the standardised numbers; `rmse` and `mae` in units, and `r2`, the mean over the targets."""
        outputs = predict_outputs(model, data.sequences, ranks)
        scale = model.scale.cpu()[: data.targets.shape[1]].numpy()
        mean = model.mean.cpu()[: data.targets.shape[1]].numpy()
        targets = data.targets.double().numpy()
        predicted = (model.predictions(model.answers(outputs)).cpu().numpy() - mean) / scale
        weights = None if data.weights is None else data.weights.double().numpy()
        squared = np.average((predicted - targets) ** 2, axis=0, weights=weights)  # (K,)
        variance = np.average((targets - np.average(targets, axis=0, weights=weights)) ** 2, axis=0, weights=weights)
        varies = variance > 0
        return {
            "loss": float(np.average(self._errors(model, outputs, data.targets).numpy(), weights=weights)),
            "rmse": float((np.sqrt(squared) * scale).mean()),
            "mae": float((np.average(np.abs(predicted - targets), axis=0, weights=weights) * scale).mean()),
            "r2": float((1 - squared[varies] / variance[varies]).mean()) if varies.any() else 0.0,
        }

    def _errors(self, model: Regressor, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of each sequence. (B, C), (B, K) -> (B,)."""
        if self.loss_name != "quantile":
            error: Tensor = ERRORS[self.loss_name](outputs, targets, reduction="none").mean(dim=1)
            return error
        levels = torch.tensor(model.levels, dtype=outputs.dtype, device=outputs.device)
        missed = targets.unsqueeze(2) - model.quantiles(outputs)  # (B, K, Q)
        return torch.maximum(levels * missed, (levels - 1) * missed).mean(dim=(1, 2))
