"""What a task makes of the training loop: batches of examples, their loss, and what an epoch is judged by."""

import hashlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ostinato.config import TrainingConfig
from ostinato.data.ragged import Ragged
from ostinato.data.sentences import Sentences
from ostinato.data.tag_encoder import TagEncoder
from ostinato.evaluation.metrics import epoch_metrics
from ostinato.evaluation.tagging import tagging_metrics
from ostinato.models import Classifier, Network, Tagger, predict_logits, predict_tags


class Examples(Protocol):
    """Encoded sequences with their targets, as a task has them."""

    @property
    def lengths(self) -> Tensor:
        """(B,) tokens or steps of each sequence, on the CPU."""

    def at(self, indices: Tensor, device: torch.device | str) -> Any:
        """A batch: the examples at `indices`, moved to the device."""

    def digest(self) -> str:
        """SHA-256 of sequences and targets."""


class Labelled(NamedTuple):
    """Encoded sequences and their label indices (B,)."""

    sequences: Ragged
    targets: Tensor

    @property
    def lengths(self) -> Tensor:
        return self.sequences.lengths

    def at(self, indices: Tensor, device: torch.device | str = "cpu") -> "Labelled":
        return Labelled(self.sequences.select(indices).to(device), self.targets[indices].to(device))

    def digest(self) -> str:
        return hashlib.sha256(self.sequences.digest().encode() + self.targets.numpy().tobytes()).hexdigest()


class Tagged(NamedTuple):
    """Encoded sentences and the tag indices (N,) of their tokens.

    Args:
        tags: as they were given, of each sentence; what answers are judged by. A batch has none.
    """

    sentences: Sentences
    targets: Tensor
    tags: list[list[str]]

    @property
    def lengths(self) -> Tensor:
        return self.sentences.lengths

    def at(self, indices: Tensor, device: torch.device | str = "cpu") -> "Tagged":
        return Tagged(
            self.sentences.select(indices).to(device), self.targets[self.sentences.places(indices)].to(device), []
        )

    def digest(self) -> str:
        return hashlib.sha256(self.sentences.digest().encode() + self.targets.numpy().tobytes()).hexdigest()


Model = TypeVar("Model", bound=Network)
Data = TypeVar("Data", bound=Examples)
Model_contra = TypeVar("Model_contra", bound=Network, contravariant=True)
Data_contra = TypeVar("Data_contra", bound=Examples, contravariant=True)


class Objective(Protocol[Model_contra, Data_contra]):
    """A task's loss and figures."""

    def weight(self, batch: Data_contra) -> float:
        """What a batch counts: the summed loss divided by the summed weight is the mean."""

    def loss(self, model: Model_contra, batch: Data_contra, config: TrainingConfig) -> Tensor:
        """The batch's summed loss."""

    def figures(self, model: Model_contra, data: Data_contra) -> dict[str, float]:
        """What an epoch is judged by on the validation split: `loss`, and the names that `[training] monitor` knows."""


@dataclass(frozen=True)
class Classification:
    """Cross-entropy of each sequence's label.

    Args:
        class_weight: (C,) weight of each class in the loss.
    """

    class_weight: Tensor | None = None

    def weight(self, batch: Labelled) -> float:
        return len(batch.targets) if self.class_weight is None else float(self.class_weight[batch.targets.cpu()].sum())

    def loss(self, model: Classifier, batch: Labelled, config: TrainingConfig) -> Tensor:
        with autocast(batch.sequences.values.device, config.precision):
            logits = model(batch.sequences.values, batch.sequences.lengths)
        weight = None if self.class_weight is None else self.class_weight.to(logits.device)
        return F.cross_entropy(
            logits.float(), batch.targets, weight=weight, reduction="sum", label_smoothing=config.label_smoothing
        )

    def figures(self, model: Classifier, data: Labelled) -> dict[str, float]:
        return epoch_metrics(data.targets.numpy(), predict_logits(model, data.sequences).numpy())


@dataclass(frozen=True)
class Tagging:
    """The negative log-likelihood of each sentence's tags, by the CRF or tag by tag; the mean is over tokens.

    Args:
        encoder: knows the tags and their scheme.
    """

    encoder: TagEncoder

    def weight(self, batch: Tagged) -> float:
        return len(batch.targets)

    def loss(self, model: Tagger, batch: Tagged, config: TrainingConfig) -> Tensor:
        with autocast(batch.targets.device, config.precision):
            scores = model(batch.sentences)
        return model.loss(scores.float(), batch.targets, batch.lengths)

    def figures(self, model: Tagger, data: Tagged) -> dict[str, float]:
        predicted, loss = predict_tags(model, data.sentences, data.targets)
        found = self.encoder.decode(predicted.numpy(), data.lengths.tolist())
        metrics = tagging_metrics(data.tags, found, known=None, scheme=self.encoder.scheme, tags=self.encoder.tags)
        f1 = {} if metrics.f1 is None else {"f1": metrics.f1}
        return {"loss": loss, "accuracy": metrics.accuracy, **f1}


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Run the model in bfloat16 where it helps: on GPUs that have it, or when asked."""
    helps = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    wanted = precision == "bfloat16" or (precision == "auto" and helps)
    return torch.autocast(device.type, torch.bfloat16) if wanted else nullcontext()
