"""What a run does differently for each task: read the data, train, score, keep the answers.

prepared        what all tasks offer a run
classification  one label a sequence
tagging         one tag a token
"""

from collections.abc import Callable

from ostinato.config import Config, DataConfig
from ostinato.tasks.classification import PreparedClassification, prepare_classification
from ostinato.tasks.prepared import Prepared
from ostinato.tasks.tagging import PreparedTagging, prepare_tagging

PREPARE: dict[str, Callable[[DataConfig], Prepared]] = {
    "classification": prepare_classification,
    "tagging": prepare_tagging,
}

__all__ = [
    "PREPARE",
    "Prepared",
    "PreparedClassification",
    "PreparedTagging",
    "prepare",
    "prepare_classification",
    "prepare_tagging",
]


def prepare(config: Config) -> Prepared:
    """Load, audit and encode the splits of a config's data; all that is fitted comes from train alone.

    Raises:
        OstinatoError: the data cannot be used.
    """
    return PREPARE[config.task](config.data)
