"""Ensembles of regressors."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor

from ostinato.errors import ConfigError
from ostinato.evaluation.ensembles import averaging_weights
from ostinato.nn.ensemble import Ensemble
from ostinato.tasks.records import Model
from ostinato.tasks.regression.network import RegressorEnsemble
from ostinato.tasks.sequences.ensemble import SequenceJoining
from ostinato.training.objective import Labelled


class RegressorJoining(SequenceJoining):
    """Averages predictions and quantiles, in the units of the targets."""

    network_type: ClassVar[type[Ensemble]] = RegressorEnsemble

    def join(self, members: Sequence[Model], names: Sequence[str]) -> Model:
        model = super().join(members, names)
        network, first = model.network, members[0].network
        network.levels = first.levels
        network.mean.copy_(first.mean)
        network.scale.copy_(first.scale)
        return model

    def refuse_other_targets(self, first: Model, other: Model, names: tuple[str, str]) -> None:
        super().refuse_other_targets(first, other, names)
        if first.network.levels != other.network.levels:
            raise ConfigError(
                f"{names[0]}: predicts the quantiles {list(other.network.levels)}, and {names[1]} "
                f"{list(first.network.levels)}. Join models with the same training.quantiles."
            )

    def fit_weights(self, model: Model, outputs: Sequence[Tensor], examples: Labelled) -> np.ndarray:
        targets = examples.targets.numpy()  # (B, K), standardised
        predicted = [
            self._standardised(model, member, each).reshape(-1)
            for member, each in zip(model.members, outputs, strict=True)
        ]
        return averaging_weights(np.stack(predicted), targets.reshape(-1))

    def scores(self, model: Model, examples: Labelled, outputs: Tensor) -> dict[str, float]:
        network = model.network
        predicted = network.predictions(network.answers(outputs)).cpu().numpy()
        K = predicted.shape[1]
        scale, mean = network.scale[:K].cpu().numpy(), network.mean[:K].cpu().numpy()
        errors = predicted - (examples.targets.numpy() * scale + mean)
        return {"rmse": float(np.sqrt(np.square(errors).mean())), "mae": float(np.abs(errors).mean())}

    def agreement(self, model: Model, one: Tensor, other: Tensor) -> float:
        """The correlation of the predictions, averaged over the targets; 1 of constant predictions."""
        K = len(model.codec.names)
        both = [each[:, :K].numpy() for each in (one, other)]
        varies = [k for k in range(K) if all(np.ptp(each[:, k]) > 0 for each in both)]
        return float(np.mean([np.corrcoef(both[0][:, k], both[1][:, k])[0, 1] for k in varies])) if varies else 1.0

    def _standardised(self, model: Model, member: Model, outputs: Tensor) -> np.ndarray:
        """A member's predictions in the standardisation of the ensemble's targets. (B, C) -> (B, K)."""
        predicted = model.network.outputs_for(member.network.answers(outputs))
        standardised: np.ndarray = predicted[:, : len(model.codec.names)].cpu().numpy()
        return standardised
