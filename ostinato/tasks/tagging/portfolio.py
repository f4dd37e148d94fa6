"""The taggers that `ostinato train FILE` compares."""

from typing import Any

from ostinato.config import Config
from ostinato.tasks.base import Candidate, TaskData
from ostinato.tasks.tagging.config import TaggingModel

SMALL = {"hidden_size": 32, "embedding_size": 32}


def portfolio(config: Config, data: TaskData) -> list[Candidate]:
    """Taggers with and without characters and CRF; see `Task.portfolio`."""
    assert isinstance(config.model, TaggingModel)
    size, has_entities = config.model.hidden_size, data.codec.scheme is not None
    candidates = []

    def add(name: str, reason: str, **changes: Any) -> None:
        model = config.model.model_copy(update=changes)
        candidates.append(Candidate(name, config.model_copy(update={"model": model}), reason))

    softmax = {"head": "softmax", "constrained": False}
    crf = {"head": "crf", "constrained": has_entities}
    add("words", "words alone, few weights", cell="gru", character_cell=None, **SMALL, **softmax)
    add("small-gru", "words and characters, few weights", cell="gru", character_cell="cnn", **SMALL, **softmax)
    add("gru", "words and characters", cell="gru", character_cell="cnn", **softmax)
    add("lstm", "order over longer distances", cell="lstm", character_cell="cnn", **softmax)
    add("gru-crf", "chooses the tags of a sentence together", cell="gru", character_cell="cnn", **crf)
    add("lstm-crf", "both", cell="lstm", character_cell="cnn", **crf)
    add("spelling-crf", "reads words letter by letter", cell="lstm", character_cell="lstm", **crf)
    add("large-crf", "more weights", cell="lstm", character_cell="cnn", hidden_size=2 * size, **crf)
    return candidates
