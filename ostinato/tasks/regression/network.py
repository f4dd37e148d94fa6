"""The regressor as a module."""

from typing import ClassVar

import torch
from torch import Tensor

from ostinato.nn.ensemble import Ensemble
from ostinato.nn.sequence_network import SequenceNetwork


class Regressor(SequenceNetwork):
    """A sequence network whose outputs are numbers, each standardised by its target's mean and scale.

    With Q quantiles the outputs are Q groups of the K targets: first the prediction's (0.5, or the middle one), then
    the others in increasing order. The first K answers are always the predictions.

    Attributes:
        mean, scale: (C,) float64, of the target that each output predicts.
        levels: the Q quantiles in increasing order; empty where the network predicts one number for each target.
    """

    quantity: ClassVar[str] = "prediction"

    mean: Tensor
    scale: Tensor

    def __init__(self, *, num_outputs: int, **parts: object) -> None:
        super().__init__(num_outputs=num_outputs, **parts)  # type: ignore[arg-type]
        self.levels: tuple[float, ...] = ()
        # not among the weights: the codec holds them
        self.register_buffer("mean", torch.zeros(num_outputs, dtype=torch.float64), persistent=False)
        self.register_buffer("scale", torch.ones(num_outputs, dtype=torch.float64), persistent=False)

    def explained(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The predicted number, in its target's units."""
        return self.answers(outputs).gather(1, targets.unsqueeze(1)).squeeze(1)  # (B, C), (B, 1) -> (B,)

    def chosen(self, outputs: Tensor) -> Tensor:
        """The first target."""
        return torch.zeros(len(outputs), dtype=torch.int64, device=outputs.device)

    def answers(self, outputs: Tensor) -> Tensor:
        """The numbers in their targets' units, float64; quantiles that cross are sorted. (B, C) -> (B, C)."""
        numbers = outputs.double() * self.scale.to(outputs.device) + self.mean.to(outputs.device)
        if len(self.levels) < 2:
            return numbers
        increasing = self.quantiles(numbers).sort(dim=2).values
        return increasing[:, :, self.order].transpose(1, 2).flatten(1)  # (B, K, Q) -> (B, Q·K)

    def outputs_for(self, answers: Tensor) -> Tensor:
        """The numbers less their mean, in units of their scale."""
        return (answers - self.mean.to(answers.device)) / self.scale.to(answers.device)

    def predictions(self, answers: Tensor) -> Tensor:
        """The predicted number of each target. (B, C) -> (B, K)."""
        return answers[:, : answers.shape[1] // max(len(self.levels), 1)]

    def quantiles(self, answers: Tensor) -> Tensor:
        """The quantiles of each target, in the order of `levels`; Q is 0 without any. (B, C) -> (B, K, Q)."""
        if not self.levels:
            return answers.new_empty(*answers.shape, 0)
        B, C = answers.shape
        grouped = answers.reshape(B, len(self.levels), C // len(self.levels)).transpose(1, 2)  # (B, Q·K) -> (B, K, Q)
        return grouped[:, :, torch.tensor(self.order).argsort()]

    @property
    def order(self) -> list[int]:
        """The index in `levels` of each group of outputs."""
        first = middle(self.levels)
        return [first, *(index for index in range(len(self.levels)) if index != first)]


class RegressorEnsemble(Regressor, Ensemble):
    """The mean predictions of several regressors, and the mean of each quantile."""


def middle(levels: tuple[float, ...]) -> int:
    """The index of the quantile that is the prediction: 0.5, or the middle one."""
    return levels.index(0.5) if 0.5 in levels else len(levels) // 2
