"""The taggers that `ostinato train FILE` compares."""

from typing import Any

from ostinato.config import Config
from ostinato.tasks.base import Candidate, TaskData
from ostinato.tasks.tagging.config import TaggingModel

SMALL: dict[str, Any] = {"hidden_size": 32, "embedding_size": 32}


def portfolio(config: Config, data: TaskData) -> list[Candidate]:
    """Taggers with and without characters and CRF; see `Task.portfolio`."""
    assert isinstance(config.model, TaggingModel)
    size, has_entities = config.model.hidden_size, data.codec.scheme is not None
    candidates = []

    def add(name: str, reason: str, **changes: Any) -> None:
        model = config.model.model_copy(update=changes)
        candidates.append(Candidate(name, config.model_copy(update={"model": model}), reason))

    softmax: dict[str, Any] = {"head": "softmax", "constrained": False}
    crf: dict[str, Any] = {"head": "crf", "constrained": has_entities}
    usual, other = (crf, softmax) if has_entities else (softmax, crf)  # the tags of an entity depend on each other
    why = {"crf": "chooses the tags of a sentence together", "softmax": "chooses each tag by itself"}
    add("words", "words alone, few weights", cell="gru", character_cell=None, **SMALL, **softmax)
    add("small-gru", "words and characters, few weights", cell="gru", character_cell="cnn", **SMALL, **usual)
    for cell in ("gru", "lstm"):
        for head in (usual, other):
            add(f"{cell}-{head['head']}", why[head["head"]], cell=cell, character_cell="cnn", **head)
    add("spelling", "reads words letter by letter", cell="lstm", character_cell="lstm", **usual)
    add("large", "more weights", cell="lstm", character_cell="cnn", hidden_size=2 * size, **usual)
    return candidates
