"""Score a tagger and its baseline on a split, and write and read its predictions."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ostinato.evaluation.results import Metric
from ostinato.evaluation.statistics import Scored, score_sentences, seed_interval, versus
from ostinato.progress import TimeLeft, unlimited
from ostinato.storage import unusable, write_atomically
from ostinato.tasks.records import Model, TaskData
from ostinato.tasks.tagging.codec import TagCodec
from ostinato.tasks.tagging.encoder import SentenceEncoder
from ostinato.tasks.tagging.examples import Tagged, TaggedRows
from ostinato.tasks.tagging.metrics import (
    TAGGING_METRICS,
    TaggingMetrics,
    bootstrap_sentences,
    commonest_tags,
    marginal_calibration,
    sentence_counts,
    tagging_metrics,
)
from ostinato.tasks.tagging.network import CertainTags


class Predictions(NamedTuple):
    """The source, words, true tags, predicted tags and features of each sentence of a split."""

    sources: list[str]
    tokens: list[list[str]]
    tags: list[list[str]]
    predicted: list[list[str]]
    features: list[list[list[str]]]


def score(model: Model, rows: TaggedRows, examples: Tagged, outputs: CertainTags) -> TaggingMetrics:
    """Metrics of a tagger's outputs for labelled sentences, including the calibration error of its probabilities."""
    predicted = model.codec.decode(outputs.tags.numpy(), examples.lengths.tolist())
    right = (outputs.tags == examples.targets).numpy()
    found = score_tags(model.encoder, model.codec, rows, predicted)
    return found.model_copy(update={"ece": marginal_calibration(outputs.probabilities.numpy(), right)})


def score_baselines(
    data: TaskData, time_left: TimeLeft = unlimited, trained: tuple[Model, CertainTags] | None = None
) -> dict[str, TaggingMetrics]:
    """Score the baselines on the test split.

    `linear` is a linear-chain CRF. `commonest` is each word's most frequent tag; for unknown words, the commonest tag.

    Args:
        trained: a tagger and its outputs for the test split: the F1 of `linear` is compared with it, or its accuracy if
            the tags mark no entities.
    """
    from ostinato.tasks.tagging.wide import linear_baseline

    train, test = data.rows["train"], data.rows["test"]
    words = [[sentence.words for sentence in rows] for rows in (train, test)]
    found = commonest_tags(words[0], train.tags, words[1])
    tags, description = linear_baseline(data, time_left)
    linear = score_tags(data.encoder, data.codec, test, tags)
    compared = None
    if trained is not None:
        own = data.codec.decode(trained[1].tags.numpy(), data.splits["test"].lengths.tolist())
        compared = versus(*(_main_score(test.tags, each, data.codec.scheme) for each in (own, tags)))
    linear = linear.model_copy(update={"description": description, "versus": compared})
    return {"linear": linear, "commonest": score_tags(data.encoder, data.codec, test, found)}


def _main_score(targets: list[list[str]], predicted: list[list[str]], scheme: str | None) -> Scored:
    metric = TAGGING_METRICS["accuracy" if scheme is None else "f1"]
    return score_sentences(sentence_counts(targets, predicted, scheme)[None], metric)


def score_tags(
    encoder: SentenceEncoder, codec: TagCodec, rows: TaggedRows, predicted: list[list[str]]
) -> TaggingMetrics:
    """Metrics of predicted tags, with 95 % intervals over the sentences."""
    targets = rows.tags
    known = [encoder.knows(sentence.words).tolist() for sentence in rows]
    seen = sorted({tag for tags in targets for tag in tags})
    metrics = tagging_metrics(targets, predicted, known=known, scheme=codec.scheme, tags=seen)
    intervals = {"accuracy": bootstrap_sentences(sentence_counts(targets, predicted, None))}
    if codec.scheme is not None:
        intervals["f1"] = bootstrap_sentences(sentence_counts(targets, predicted, codec.scheme))
    return metrics.model_copy(update={"intervals": intervals})


def write_predictions(path: Path, rows: TaggedRows, predicted: list[list[str]]) -> None:
    """Write the source, words, features, tags and predicted tags of each sentence, one JSON line per sentence.

    Raises:
        RunError: the file cannot be written.
    """
    lines = [
        {
            "source": sentence.source,
            "tokens": sentence.words,
            "features": list(sentence.features),
            "tags": sentence.tags,
            "predicted": tags,
        }
        for sentence, tags in zip(rows, predicted, strict=True)
    ]
    write_atomically(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def read_predictions(path: Path) -> Predictions:
    """Read the file that `write_predictions` wrote.

    Raises:
        RunError: the file is missing or altered.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        sources = [row["source"] if "source" in row else row["place"] for row in rows]  # 0.1 called it place
        tokens, tags, predicted = ([row[key] for row in rows] for key in ("tokens", "tags", "predicted"))
        return Predictions(sources, tokens, tags, predicted, [row.get("features") or [] for row in rows])
    except (OSError, ValueError, KeyError, TypeError):
        raise unusable(path) from None


def compared(
    seeds: Sequence[Sequence[Predictions]], metric: Metric, scheme: str | None
) -> tuple[Scored, list[str], tuple[float, float]]:
    """Score each seed by counts per sentence: entities with a scheme, else tokens; see `Task.compared`."""
    read = [folds[0] for folds in seeds]
    counts = np.stack([sentence_counts(each.tags, each.predicted, scheme) for each in read])
    scored = score_sentences(counts, metric)
    return scored, read[0].sources, seed_interval(scored.scores, metric) or bootstrap_sentences(counts[0])
