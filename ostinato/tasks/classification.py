"""A run that classifies sequences."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from ostinato.checkpoint import TrainingState
from ostinato.config import Config, DataConfig, ModelConfig
from ostinato.data.dataset import Dataset, load_dataset
from ostinato.data.encoder import Encoder
from ostinato.estimators import SequenceClassifier, class_weights, encode, fit_classifier
from ostinato.models import Classifier, build_classifier, predict_logits
from ostinato.objectives import Labelled
from ostinato.pretrained import check_size, pretrained_for
from ostinato.scoring import score, score_baselines, write_predictions
from ostinato.tasks.prepared import Prepared


@dataclass(frozen=True)
class PreparedClassification(Prepared):
    """All that classifiers need of their data."""

    parameters = tuple(SequenceClassifier().get_params())

    data: Dataset
    encoder: Encoder
    splits: dict[str, Labelled]

    @cached_property
    def baselines(self) -> dict[str, Any]:
        """What every model of these data must beat."""
        return score_baselines(
            self.data,
            self.encoder,
            {name: split.targets.numpy() for name, split in self.splits.items()},
            self.config.seed,
        )

    def check(self, config: Config) -> None:
        class_weights(config.training.class_weight, self.encoder, self.splits["train"].targets)
        check_size(self.vectors, config)

    def audit_lines(self) -> Iterable[str]:
        yield from self.data.audit.lines()
        if self.vectors is not None:
            yield self.vectors.line(str(self.config.vectors))

    def audit_facts(self) -> dict[str, Any]:
        vectors = {} if self.vectors is None else {"vectors": self.vectors.coverage}
        return {**self.data.audit.to_dict(), **vectors}

    def build(self, config: ModelConfig) -> Classifier:
        return build_classifier(config, self.encoder)

    def fit_on(
        self, train: Labelled, validation: Labelled | None, config: Config, **options: Any
    ) -> tuple[Classifier, TrainingState]:
        weights = class_weights(config.training.class_weight, self.encoder, self.splits["train"].targets)
        return fit_classifier(
            config, self.encoder, train, validation, class_weight=weights, vectors=self.vectors, **options
        )

    def answer(self, network: Classifier, examples: Labelled) -> Tensor:
        return predict_logits(network, examples.sequences)

    def figures(self, network: Classifier, folder: Path) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        logits = {
            name: predict_logits(network, split.sequences) for name, split in self.splits.items() if name != "train"
        }
        for name, each in logits.items():
            figures[name] = score(network, self.encoder, self.splits[name].targets, each)
        if self.data.test is not None:
            figures["baselines"] = self.baselines
            write_predictions(
                folder / "predictions.parquet",
                self.data.test,
                self.encoder,
                network.probabilities(logits["test"]).numpy(),
            )
        return figures


def prepare_classification(config: DataConfig) -> PreparedClassification:
    """Load, audit and encode the splits; vocabulary, scaler and labels come from train alone."""
    data = load_dataset(config)
    encoder = Encoder.fit(
        data.train.sequences,
        data.train.labels,
        tokenizer=data.tokenizer,
        **config.model_dump(include={"min_count", "max_size", "max_length", "truncate"}),
    )
    vectors = pretrained_for(config, encoder.vocabulary, data.tokenizer)
    if vectors is not None:
        encoder = encoder.with_beyond(vectors.beyond_words)
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    splits = {
        name: encode(encoder, part.sequences, part.labels, part.places)
        for name, part in parts.items()
        if part is not None
    }
    unknown = (
        None
        if encoder.is_numeric or "validation" not in splits
        else encoder.unknown_share(splits["validation"].sequences)
    )
    audit = data.audit.with_encoding(unknown, {name: split.sequences.truncated for name, split in splits.items()})
    return PreparedClassification(config, replace(data, audit=audit), encoder, splits, vectors)
