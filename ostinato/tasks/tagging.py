"""A run that tags tokens."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from ostinato.checkpoint import TrainingState
from ostinato.config import Config, DataConfig, ModelConfig
from ostinato.data.examples import Sentence, tags_of
from ostinato.data.tag_encoder import TagEncoder
from ostinato.data.tagged import TaggedDataset, load_tagged
from ostinato.data.vocabulary import UNKNOWN
from ostinato.estimators import SequenceTagger, check_scheme, encode_tagged, fit_tagger
from ostinato.evaluation.tagging import (
    bootstrap_sentences,
    commonest_tags,
    marginal_calibration,
    sentence_counts,
    tagging_metrics,
)
from ostinato.models import Tagger, build_tagger, predict_certain_tags, predict_tags
from ostinato.objectives import Tagged
from ostinato.pretrained import check_size, pretrained_for
from ostinato.scoring import unusable
from ostinato.storage import write_atomically
from ostinato.tasks.prepared import Prepared

PREDICTIONS = "predictions.jsonl"


@dataclass(frozen=True)
class PreparedTagging(Prepared):
    """All that taggers need of their data."""

    parameters = tuple(SequenceTagger().get_params())

    data: TaggedDataset
    encoder: TagEncoder
    splits: dict[str, Tagged]

    @cached_property
    def baselines(self) -> dict[str, Any]:
        """What every model of these data must beat: each word's commonest tag in train, and the commonest tag for other words."""
        train, test = self.data.splits["train"], self.data.splits["test"]
        found = commonest_tags(
            [each.words for each in train], [tags_of(each) for each in train], [each.words for each in test]
        )
        return {"commonest": score_tags(self.encoder, test, found)}

    def check(self, config: Config) -> None:
        check_size(self.vectors, config)
        check_scheme(self.data.scheme, config)

    def audit_lines(self) -> Iterable[str]:
        return self.data.audit.lines()

    def audit_facts(self) -> dict[str, Any]:
        return self.data.audit.to_dict()

    def build(self, config: ModelConfig) -> Tagger:
        return build_tagger(config, self.encoder)

    def fit_on(
        self, train: Tagged, validation: Tagged | None, config: Config, **options: Any
    ) -> tuple[Tagger, TrainingState]:
        return fit_tagger(config, self.encoder, train, validation, vectors=self.vectors, **options)

    def answer(self, network: Tagger, examples: Tagged) -> Tensor:
        return predict_tags(network, examples.sentences)[0]

    def figures(self, network: Tagger, folder: Path) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        for name in ("validation", "test"):
            if name in self.splits:
                figures[name], answers = score_tagger(network, self.encoder, self.data.splits[name], self.splits[name])
        if self.data.test is not None:
            figures["baselines"] = self.baselines
            write_tags(folder / PREDICTIONS, self.data.test, answers)
        return figures


def prepare_tagging(config: DataConfig) -> PreparedTagging:
    """Load, audit and encode the splits; words, characters and tags come from train alone."""
    data = load_tagged(config)
    train = data.splits["train"]
    encoder = TagEncoder.fit(
        train,
        scheme=data.scheme,
        **config.model_dump(include={"target_scheme", "lowercase", "min_count", "max_size"}),
    )
    unknown = {
        split: _unknown_share(encoder, sentences) for split, sentences in data.splits.items() if split != "train"
    }
    vectors = pretrained_for(config, encoder.words)
    if vectors is not None:
        encoder = encoder.with_beyond(vectors.beyond_words)
    splits = {name: encode_tagged(encoder, sentences) for name, sentences in data.splits.items()}
    columns = config.feature_columns or ()
    features = {column: len(values) - 1 for column, values in zip(columns, encoder.features, strict=True)}
    strange = {
        split: dict(zip(columns, (examples.sentences.features == UNKNOWN).float().mean(dim=0).tolist(), strict=True))
        for split, examples in splits.items()
        if split != "train"
    }
    told = None if vectors is None else vectors.line(str(config.vectors))
    return PreparedTagging(
        config,
        data.with_facts(vectors=told, unknown=unknown, features=features, strange=strange),
        encoder,
        splits,
        vectors,
    )


def score_tagger(
    model: Tagger, encoder: TagEncoder, sentences: list[Sentence], encoded: Tagged
) -> tuple[dict[str, Any], list[list[str]]]:
    """Figures of a model on labelled sentences, and its answers to them."""
    tags, certainty = predict_certain_tags(model, encoded.sentences)
    answers = encoder.decode(tags.numpy(), encoded.lengths.tolist())
    right = (tags == encoded.targets).numpy()
    return {**score_tags(encoder, sentences, answers), "ece": marginal_calibration(certainty.numpy(), right)}, answers


def score_tags(encoder: TagEncoder, sentences: list[Sentence], answers: list[list[str]]) -> dict[str, Any]:
    """Figures of answers to labelled sentences, with a 95 % interval over the sentences."""
    targets = [tags_of(each) for each in sentences]
    known = [encoder.knows(each.words).tolist() for each in sentences]
    seen = sorted({tag for tags in targets for tag in tags})
    figures = tagging_metrics(targets, answers, known=known, scheme=encoder.scheme, tags=seen)
    intervals = {"accuracy": bootstrap_sentences(sentence_counts(targets, answers, None))}
    if encoder.scheme is not None:
        intervals["f1"] = bootstrap_sentences(sentence_counts(targets, answers, encoder.scheme))
    return figures.model_copy(update={"intervals": intervals}).to_json()


def write_tags(path: Path, sentences: list[Sentence], answers: list[list[str]]) -> None:
    """Write where each sentence came from, its words, their features, its tags and those that the model gave: a JSON line each."""
    rows = [
        {"place": each.place, "tokens": each.words, "features": each.features, "tags": each.tags, "predicted": tags}
        for each, tags in zip(sentences, answers, strict=True)
    ]
    write_atomically(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


class Answered(NamedTuple):
    """A test split sentence by sentence: where each came from, its tags, and those that the model gave."""

    places: list[str]
    tags: list[list[str]]
    predicted: list[list[str]]


def read_tags(path: Path) -> Answered:
    """What `write_tags` wrote.

    Raises:
        RunError: the file is missing or altered.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        return Answered(*([row[key] for row in rows] for key in ("place", "tags", "predicted")))
    except (OSError, ValueError, KeyError, TypeError):
        raise unusable(path) from None


def _unknown_share(encoder: TagEncoder, sentences: list[Sentence]) -> float:
    known = [encoder.knows(sentence.words) for sentence in sentences]
    return float(1 - np.concatenate(known).mean())
