"""What a task gives the training loop: batches of examples, their loss, and validation metrics."""

import hashlib
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from ostinato.config import TrainingConfig
from ostinato.data.ragged import Ragged
from ostinato.nn.network import Network
from ostinato.nn.sequence_network import SequenceNetwork
from ostinato.training.ranks import ALONE, Ranks


class Examples(Protocol):
    """Encoded sequences with their targets."""

    @property
    def lengths(self) -> Tensor:
        """(B,) tokens or steps of each sequence, on the CPU."""

    def at(self, indices: Tensor, device: torch.device | str = "cpu") -> Any:
        """A batch: the examples at `indices`, moved to the device."""

    def digest(self) -> str:
        """SHA-256 of sequences and targets."""


class Labelled(NamedTuple):
    """Encoded sequences and their targets: class indices (B,), or numbers or flags (B, C).

    Args:
        weights: (B,) float32 weight of each row in loss and metrics; None: 1. In a training split their mean is 1.
        offsets: (B, C) what replaces the outputs of the network's wide part in the loss; None: nothing.
    """

    sequences: Ragged
    targets: Tensor
    weights: Tensor | None = None
    offsets: Tensor | None = None

    @property
    def lengths(self) -> Tensor:
        return self.sequences.lengths

    def at(self, indices: Tensor, device: torch.device | str = "cpu") -> "Labelled":
        weights, offsets = (None if each is None else each[indices].to(device) for each in (self.weights, self.offsets))
        sequences = self.sequences.select(indices).to(device)
        return Labelled(sequences, self.targets[indices].to(device), weights, offsets)

    def digest(self) -> str:
        weights = b"" if self.weights is None else self.weights.numpy().tobytes()
        return hashlib.sha256(self.sequences.digest().encode() + self.targets.numpy().tobytes() + weights).hexdigest()

    def outputs(self, model: SequenceNetwork) -> Tensor:
        """The network's outputs in training. Returns (B, C)."""
        values, lengths = self.sequences.values, self.sequences.lengths
        outputs: Tensor = model(values, lengths) if self.offsets is None else model.deep(values, lengths) + self.offsets
        return outputs

    def weighted_sum(self, losses: Tensor) -> Tensor:
        """The sum of the rows' losses (B,), each times the row's weight."""
        return losses.sum() if self.weights is None else losses @ self.weights


AnyNetwork = TypeVar("AnyNetwork", bound=Network)
Data = TypeVar("Data", bound=Examples)
AnyNetwork_contra = TypeVar("AnyNetwork_contra", bound=Network, contravariant=True)
Data_contra = TypeVar("Data_contra", bound=Examples, contravariant=True)


class Objective(Protocol[AnyNetwork_contra, Data_contra]):
    """A task's loss and validation metrics."""

    def weight(self, batch: Data_contra) -> float:
        """The weight of a batch: summed loss / summed weight is the mean loss."""

    def loss(self, model: AnyNetwork_contra, batch: Data_contra, config: TrainingConfig) -> Tensor:
        """The batch's summed loss: `loss_of` its outputs."""

    def outputs(self, model: AnyNetwork_contra, batch: Data_contra, config: TrainingConfig) -> Tensor:
        """The network's outputs in training, float32."""

    def loss_of(self, model: AnyNetwork_contra, outputs: Tensor, batch: Data_contra, config: TrainingConfig) -> Tensor:
        """The summed loss of a batch's outputs."""

    def divergence(self, model: AnyNetwork_contra, outputs: Tensor, others: Tensor, batch: Data_contra) -> Tensor:
        """How far the answers of two passes over a batch are apart, summed; 0 for equal outputs. Needs no targets."""

    def metrics(self, model: AnyNetwork_contra, data: Data_contra, ranks: Ranks = ALONE) -> dict[str, float]:
        """Metrics of the validation split: `loss`, and every other name that `training.monitor` accepts.

        All ranks call this together, with the same network and data, and each computes a part.
        """
