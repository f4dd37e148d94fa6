"""A classifier of random tokens, built as `ostinato train` builds the one of a preset."""

from typing import Any, NamedTuple

import torch

from ostinato.config import Config, SequenceModel
from ostinato.data.encoder import SequenceEncoder
from ostinato.data.ragged import Ragged
from ostinato.nn import SequenceNetwork
from ostinato.tasks import TASKS
from ostinato.tasks.config import PRESETS
from ostinato.training import Objective
from ostinato.training.objective import Labelled

PRESET = "majority"  # two classes


class Subject(NamedTuple):
    """A network and what its training needs."""

    network: SequenceNetwork
    objective: Objective[Any, Any]
    config: Config


def random_classifier(model: SequenceModel, num_tokens: int) -> Subject:
    """A classifier of two classes with fresh weights."""
    config = PRESETS[PRESET]()
    training = config.training.model_copy(update={"device": "cpu", "patience": None, "max_epochs": 1})
    config = config.model_copy(update={"model": model, "training": training})
    task = TASKS[config.task]
    data = task.prepare(config.data.model_copy(update={"train_size": 20, "validation_size": 0, "test_size": 0}))
    symbols = "".join(map(chr, range(ord("a"), ord("a") + num_tokens - 1)))  # one id is that of unknown tokens
    encoder = SequenceEncoder.fit([symbols], tokenizer="characters")
    network: SequenceNetwork = task.build(config, encoder, data.codec)  # type: ignore[assignment]
    return Subject(network, task.objective(config, data), config)


def batch_of(ids: torch.Tensor, targets: torch.Tensor) -> Labelled:
    """A batch of sequences of one length, from token ids (B, T) and classes (B,)."""
    return Labelled(Ragged(ids.int().flatten(), torch.full((len(ids),), ids.shape[1])), targets)
