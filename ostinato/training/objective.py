"""What a task gives the training loop: batches of examples, their loss, and validation metrics."""

import hashlib
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from ostinato.config import TrainingConfig
from ostinato.data.ragged import Ragged
from ostinato.nn.network import Network


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
    """Encoded sequences and their targets: class indices (B,), or numbers or flags (B, C)."""

    sequences: Ragged
    targets: Tensor

    @property
    def lengths(self) -> Tensor:
        return self.sequences.lengths

    def at(self, indices: Tensor, device: torch.device | str = "cpu") -> "Labelled":
        return Labelled(self.sequences.select(indices).to(device), self.targets[indices].to(device))

    def digest(self) -> str:
        return hashlib.sha256(self.sequences.digest().encode() + self.targets.numpy().tobytes()).hexdigest()


AnyNetwork = TypeVar("AnyNetwork", bound=Network)
Data = TypeVar("Data", bound=Examples)
AnyNetwork_contra = TypeVar("AnyNetwork_contra", bound=Network, contravariant=True)
Data_contra = TypeVar("Data_contra", bound=Examples, contravariant=True)


class Objective(Protocol[AnyNetwork_contra, Data_contra]):
    """A task's loss and validation metrics."""

    def weight(self, batch: Data_contra) -> float:
        """The weight of a batch: summed loss / summed weight is the mean loss."""

    def loss(self, model: AnyNetwork_contra, batch: Data_contra, config: TrainingConfig) -> Tensor:
        """The batch's summed loss."""

    def metrics(self, model: AnyNetwork_contra, data: Data_contra) -> dict[str, float]:
        """Metrics of the validation split: `loss`, and every other name that `training.monitor` accepts."""
