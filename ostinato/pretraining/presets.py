"""Named pre-trainings, one function per preset. `ostinato pretrain NAME` trains one; a task's preset may start from it.

`ostinato.config.names.ENCODERS` lists the names, so that a config is checked without importing PyTorch.
"""

from collections.abc import Callable, Mapping

from ostinato.pretraining.config import PretrainingConfig, PretrainingData, PretrainingTraining


def imdb_encoder() -> PretrainingConfig:
    """A language model of the film reviews that are neither validation nor test rows of `imdb-pretrained`."""
    return PretrainingConfig(
        data=PretrainingData(name="imdb", exclude=["imdb-pretrained"]),
        training=PretrainingTraining(max_epochs=2),
    )


def imdb_full_encoder() -> PretrainingConfig:
    """The same for `imdb-full`, whose validation and test rows are others."""
    preset = imdb_encoder()
    return preset.model_copy(update={"data": preset.data.model_copy(update={"exclude": ["imdb-full"]})})


PRESETS: Mapping[str, Callable[[], PretrainingConfig]] = {
    "imdb-encoder": imdb_encoder,
    "imdb-full-encoder": imdb_full_encoder,
}
