"""Settings that suit the tags and the number of sentences; values that were given stay."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ostinato.config import Config
from ostinato.data.examples import Sentence
from ostinato.tasks.records import TaskData
from ostinato.tasks.settled import settled
from ostinato.tasks.tagging.config import TaggingConfig, TaggingData

HELD_OUT = 5  # every fifth sentence
STEPS = 3_000  # optimizer steps of a training, about
BATCH_SIZES = ((500, 4), (2_000, 8), (8_000, 16))  # up to so many training sentences; then 32
LARGEST_BATCH = 32
FEWEST_EPOCHS, MOST_EPOCHS = 8, 40


def settle_data(config: TaggingData, train: Sequence[Sentence], scheme: str | None) -> TaggingData:
    """The data table with every key chosen from the training sentences."""
    keys = config.open_keys()
    if not keys:
        return config
    chosen = choose_data(train, scheme, [])
    return config.model_copy(update={key: chosen[key] for key in keys})


def settle(config: Config, data: TaskData) -> Config:
    """The config with every key chosen; see `Task.settle`."""
    assert isinstance(config, TaggingConfig)
    model = choose_model(data.codec.scheme)
    if config.model.constrained is True or config.model.wide is not None:
        model["head"] = "crf"
    elif config.model.head == "softmax":
        model["constrained"] = False
    return settled(config, data, model, choose_training(len(data.splits["train"].lengths), data.codec.scheme, []))


def choose_data(sentences: Sequence[Sentence], scheme: str | None, reasons: list[str]) -> dict[str, Any]:
    """The reading of words, and the scheme to learn.

    Args:
        scheme: of the tags; None if they do not mark entities.
        reasons: one line per decision is appended.
    """
    return {
        "min_count": 1,
        "max_size": None,
        "lowercase": _lowercase(sentences, reasons),
        "target_scheme": None if scheme is None else "bioes",
    }


def choose_model(scheme: str | None) -> dict[str, Any]:
    """A CRF if the tags of a sentence depend on each other."""
    has_entities = scheme is not None
    return {"head": "crf" if has_entities else "softmax", "constrained": has_entities}


def choose_training(sentences: int, scheme: str | None, reasons: list[str]) -> dict[str, Any]:
    """Batch size and epochs by the number of steps that they give.

    Args:
        sentences: of the training split.
    """
    batch_size = next((size for most, size in BATCH_SIZES if sentences <= most), LARGEST_BATCH)
    epochs = int(np.clip(-(-STEPS * batch_size // sentences), FEWEST_EPOCHS, MOST_EPOCHS))
    steps = epochs * -(-sentences // batch_size)
    reasons.append(
        f"batch_size = {batch_size}, max_epochs = {epochs}: about {steps:,} steps for about {sentences:,} training "
        "sentences"
    )
    return {
        "batch_size": batch_size,
        "max_tokens": None,
        "max_epochs": epochs,
        "lr": 2e-3,
        "patience": max(5, epochs // 4),
        "monitor": "accuracy" if scheme is None else "f1",
    }


def _lowercase(sentences: Sequence[Sentence], reasons: list[str]) -> bool:
    """Whether lower case makes more words of a held-out fifth known."""
    train = [sentence for number, sentence in enumerate(sentences) if number % HELD_OUT]
    words = [[word for sentence in part for word in sentence.words] for part in (train, sentences[::HELD_OUT])]
    known = set(words[0])
    as_given = np.mean([word in known for word in words[1]]) if words[1] else 1.0
    lower = {word.lower() for word in known}
    folded = np.mean([word.lower() in lower for word in words[1]]) if words[1] else 1.0
    evidence = (
        f"of every fifth sentence, {1 - as_given:.1%} of the words are new as written, {1 - folded:.1%} in lower case"
    )
    is_better = bool(folded > as_given)
    reasons.append(f"lowercase = {str(is_better).lower()}: {evidence}; characters and word shapes see capitals anyway")
    return is_better
