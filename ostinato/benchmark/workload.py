"""A network with its data and objective, and its training step as `ostinato train` runs it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ostinato.benchmark.timing import Side
from ostinato.config import TrainingConfig
from ostinato.errors import look_up
from ostinato.nn.threads import few_threads
from ostinato.tasks import TASKS
from ostinato.tasks.config import PRESETS
from ostinato.training import Objective, train
from ostinato.training.checkpoint import TrainingState
from ostinato.training.loop import take_step
from ostinato.training.optimizer import make_optimizer
from ostinato.training.ranks import ALONE


@dataclass(frozen=True)
class Workload:
    """A network, and what it trains on.

    Args:
        network: with fresh weights.
        objective: the loss.
        examples: the encoded training split.
        training: the settings of the training.
    """

    network: Any
    objective: Objective[Any, Any]
    examples: Any
    training: TrainingConfig

    @classmethod
    def of_preset(cls, name: str, *, train_size: int | None = None) -> "Workload":
        """The network and the training split of a preset.

        Args:
            train_size: the number of training examples, without other splits; None: the preset's own splits.

        Raises:
            ConfigError: unknown preset.
            OstinatoError: the data are not available.
        """
        config = look_up(PRESETS, name, "preset")()
        if train_size is not None:
            sizes = {"train_size": train_size, "validation_size": 0, "test_size": 0}
            config = config.model_copy(update={"data": config.data.model_copy(update=sizes)})
        task = TASKS[config.task]
        data = task.prepare_for(config)
        network = task.build(config, data.encoder, data.codec)
        return cls(network, task.objective(config, data), data.splits["train"], config.training)

    def batch(self, size: int) -> Any:
        """The first `size` examples as a batch."""
        return self.examples.at(torch.arange(size))

    def num_tokens(self) -> int:
        """The tokens or steps of all examples."""
        return int(self.examples.lengths.sum())


def training_steps(
    workload: Workload, batches: Sequence[Any], *, answer: Callable[[], list[Tensor]] | None = None
) -> Side:
    """One optimizer step for each batch: `take_step`, the body of the loop in `ostinato.training.train`."""
    network, objective, config = workload.network, workload.objective, workload.training
    optimizer = make_optimizer(network, config)
    state = TrainingState(epoch=(config.max_epochs + 1) // 2)  # after the warm-up: the learning rate is not 0

    def run() -> None:
        for batch in batches:
            take_step(network, [batch], objective, config, optimizer, state, len(batches), ALONE)

    tokens = sum(int(batch.lengths.sum()) for batch in batches)
    return Side(run, answer, tokens, context=lambda: few_threads(network, tokens=tokens / len(batches)))


def training_epoch(workload: Workload, *, answer: Callable[[], list[Tensor]] | None = None) -> Side:
    """One epoch on the CPU without validation, including the making of the batches."""
    once = workload.training.model_copy(update={"max_epochs": 1, "device": "cpu", "patience": None})

    def run() -> None:
        train(workload.network, workload.examples, None, once, objective=workload.objective)

    return Side(run, answer, workload.num_tokens())
