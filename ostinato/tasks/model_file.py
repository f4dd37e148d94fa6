"""Models on disk: one file with format version, task, config, encoder, codec and weights.

A file of an earlier version is upgraded step by step: `UPGRADES[n]` makes the facts and weights of format n + 1 out of
those of format n, and knows no class of today.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from ostinato.config.reading import parse
from ostinato.data.stored import StoredFields
from ostinato.errors import ConfigError, RunError
from ostinato.storage import FORMAT, load_tensors, save_tensors
from ostinato.tasks import TASKS
from ostinato.tasks.base import Model
from ostinato.tasks.upgrades import from_version_0_1

if TYPE_CHECKING:
    from torch import Tensor

Facts = dict[str, Any]
Upgrade = Callable[[Facts, "dict[str, Tensor]"], "tuple[Facts, dict[str, Tensor]]"]
UPGRADES: Mapping[int, Upgrade] = {1: from_version_0_1}


def save_model(path: Path, model: Model) -> None:
    """Write a model that `load_model` reads.

    Raises:
        RunError: the disk is full or the path cannot be written; what was there before is untouched.
    """
    facts = {
        "kind": "model",
        "task": model.task.name,
        "config": model.config.model_dump(mode="json", exclude={"search"}),
        "encoder": model.encoder.to_json(),
        "codec": model.codec.to_json(),
    }
    save_tensors(path, model.network.state_dict(), facts)


def model_file(path: Path) -> Path:
    """The model file at `path`, which is one or is a run folder."""
    return path / "model.safetensors" if path.is_dir() else path


def load_model(path: Path) -> Model:
    """Read a model file or a finished run folder, on the CPU, in eval mode; runs no code from it.

    Raises:
        RunError: the file is missing, truncated, altered, of a newer format, or not a model.
    """
    path = model_file(path)
    stored = load_tensors(path)
    facts, tensors = stored.facts, stored.tensors
    try:
        if facts.get("kind") != "model":
            raise RunError(f"not a model: kind {facts.get('kind')!r}. Name a run folder or a model file.")
        for version in range(stored.format, FORMAT):
            facts, tensors = _upgraded(version, facts, tensors)
        return _model_of(ModelFacts.read(facts, "facts"), tensors)
    except (RunError, ConfigError) as error:
        raise RunError(f"{path}: {str(error).splitlines()[0]}") from None


def _upgraded(version: int, facts: Facts, tensors: "dict[str, Tensor]") -> "tuple[Facts, dict[str, Tensor]]":
    """The facts and weights of a file of format `version` as those of the next format."""
    try:
        return UPGRADES[version](facts, tensors)
    except KeyError as error:
        raise RunError(f"{error} is missing in a file of format {version}. Save the model again.") from None
    except (TypeError, AttributeError, ValueError) as error:
        raise RunError(f"not a file of format {version}: {error}. Save the model again.") from None


class ModelFacts(StoredFields):
    """What a model file holds besides weights."""

    kind: Literal["model"]
    task: str
    config: Facts
    encoder: Facts
    codec: Facts


def _model_of(facts: ModelFacts, tensors: "dict[str, Tensor]") -> Model:
    """The model that facts and weights describe.

    Raises:
        RunError, ConfigError: a field is missing, of a wrong type, or does not fit the others; names it.
    """
    task = TASKS.get(facts.task)
    if task is None:
        raise RunError(f"task {facts.task!r} is unknown. Upgrade Ostinato, or train again.")
    config = parse(
        {task.name: task.config}, {"task": task.name, **facts.config}, "config", needs_data=False, is_old=True
    )
    encoder, codec = task.encoder_from_json(facts.encoder), task.codec_from_json(facts.codec)
    with torch.random.fork_rng():
        network = task.build(config, encoder, codec)
    _refuse_other_weights(network.state_dict(), tensors)
    network.load_state_dict(tensors)
    return Model(task, config, encoder, codec, network.eval())


def _refuse_other_weights(own: "Mapping[str, Tensor]", given: "Mapping[str, Tensor]") -> None:
    """Refuse weights that are missing, unknown, or of another shape than the config describes.

    Raises:
        RunError: names the first.
    """
    for name in sorted(own.keys() | given.keys()):
        if name not in given:
            raise RunError(f"the weights {name} are missing. Save the model again.")
        if name not in own:
            raise RunError(f"the config has no layer for the weights {name}. Save the model again.")
        found, expected = tuple(given[name].shape), tuple(own[name].shape)
        if found != expected:
            raise RunError(f"the weights {name} have shape {found}, expected {expected}. Save the model again.")
