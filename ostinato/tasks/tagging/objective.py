"""The negative log-likelihood of the tags."""

from dataclasses import dataclass

from torch import Tensor

from ostinato.config import TrainingConfig
from ostinato.tasks.tagging.codec import TagCodec
from ostinato.tasks.tagging.examples import Tagged
from ostinato.tasks.tagging.metrics import tagging_metrics
from ostinato.tasks.tagging.network import Tagger, predict_tags
from ostinato.training.device import mixed_precision
from ostinato.training.divergence import categorical_divergence
from ostinato.training.ranks import ALONE, Ranks


@dataclass(frozen=True)
class TagLikelihood:
    """The negative log-likelihood of the tags, averaged over tokens."""

    codec: TagCodec

    def weight(self, batch: Tagged) -> float:
        return len(batch.targets)

    def loss(self, model: Tagger, batch: Tagged, config: TrainingConfig) -> Tensor:
        return self.loss_of(model, self.outputs(model, batch, config), batch, config)

    def outputs(self, model: Tagger, batch: Tagged, config: TrainingConfig) -> Tensor:
        with mixed_precision(batch.targets.device, config.precision):
            scores = model(batch.sentences) if batch.offsets is None else model.deep(batch.sentences) + batch.offsets
        return scores.float()

    def loss_of(self, model: Tagger, outputs: Tensor, batch: Tagged, config: TrainingConfig) -> Tensor:
        return model.loss(outputs, batch.targets, batch.lengths)

    def divergence(self, model: Tagger, outputs: Tensor, others: Tensor, batch: Tagged) -> Tensor:
        return categorical_divergence(outputs, others).sum()

    def metrics(self, model: Tagger, data: Tagged, ranks: Ranks = ALONE) -> dict[str, float]:
        predicted, loss = predict_tags(model, data.sentences, data.targets, ranks)
        found = self.codec.decode(predicted.numpy(), data.lengths.tolist())
        metrics = tagging_metrics(data.tags, found, known=None, scheme=self.codec.scheme, tags=self.codec.tags)
        scores = {"accuracy": metrics.accuracy} | ({} if metrics.f1 is None else {"f1": metrics.f1})
        return {"loss": loss, **scores}
