"""The taggers that `ostinato train FILE` compares."""

from typing import Any

from ostinato.config import Config
from ostinato.tasks.records import Candidate, TaskData
from ostinato.tasks.tagging.config import TaggingModel

SMALL: dict[str, Any] = {"hidden_size": 32, "embedding_size": 32}
SHARE_OF_EPOCHS = 3  # layers that start where a linear CRF ends overfit after a fifth of the usual epochs
FEWEST_EPOCHS = 4


def portfolio(config: Config, data: TaskData) -> list[Candidate]:
    """A linear CRF, recurrent layers beside it, and recurrent layers alone; see `Task.portfolio`."""
    assert isinstance(config.model, TaggingModel)
    size, has_entities, usually = config.model.hidden_size, data.codec.scheme is not None, config.training
    candidates = []

    def add(name: str, reason: str, *, is_linear: bool = False, **changes: Any) -> None:
        model, training = config.model.model_copy(update={"wide": None, "character_cell": "cnn", **changes}), usually
        if changes.get("wide"):
            epochs = min(usually.max_epochs, max(FEWEST_EPOCHS, usually.max_epochs // SHARE_OF_EPOCHS))
            training = usually.model_copy(update={"max_epochs": epochs})
        changed = config.model_copy(update={"model": model, "training": training})
        candidates.append(Candidate(name, changed, reason, is_linear))

    softmax: dict[str, Any] = {"head": "softmax", "constrained": False}
    crf: dict[str, Any] = {"head": "crf", "constrained": has_entities}
    wide = {"wide": "features", **crf}
    usual, other = (crf, softmax) if has_entities else (softmax, crf)  # the tags of an entity depend on each other
    why = {"crf": "chooses the tags of a sentence together", "softmax": "chooses each tag by itself"}
    add("linear", "a CRF on words, affixes and word shapes", is_linear=True, cell="none", **wide)
    for cell in ("gru", "lstm"):
        add(f"wide-{cell}", "starts where the linear CRF ends", cell=cell, **wide)
    add("small-gru", "words and characters, few weights", cell="gru", **SMALL, **usual)
    for cell, head in (("gru", usual), ("lstm", usual), ("lstm", other)):
        add(f"{cell}-{head['head']}", why[head["head"]], cell=cell, **head)
    add("large", "more weights", cell="lstm", hidden_size=2 * size, **usual)
    return candidates
