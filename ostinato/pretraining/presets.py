"""Named pre-trainings, one function per preset. `ostinato pretrain NAME` trains one; a task's preset may start from it.

`ostinato.config.names.ENCODERS` lists the names, so that a config is checked without importing PyTorch.
"""

from collections.abc import Callable, Mapping

from ostinato.pretraining.config import PretrainingConfig, PretrainingData, PretrainingTraining


def imdb_encoder() -> PretrainingConfig:
    """A language model of the film reviews without the validation and test rows of the presets that start from it."""
    return PretrainingConfig(
        data=PretrainingData(name="imdb", exclude=["imdb-pretrained", "imdb-full"]),
        training=PretrainingTraining(max_epochs=2),
    )


PRESETS: Mapping[str, Callable[[], PretrainingConfig]] = {"imdb-encoder": imdb_encoder}
