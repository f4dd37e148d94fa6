"""Models on disk: one file with format version, task, config, encoder, codec and weights.

A file of an earlier version is upgraded step by step: `UPGRADES[n]` makes the facts and weights of format n + 1 out of
those of format n, and knows no class of today.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ostinato.config.reading import parse
from ostinato.errors import RunError
from ostinato.storage import FORMAT, load_tensors, save_tensors
from ostinato.tasks import TASKS
from ostinato.tasks.base import Model
from ostinato.tasks.config import CONFIGS
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
    if stored.facts.get("kind") != "model":
        raise RunError(f"{path}: not a model, but a {stored.facts.get('kind')}. Name a run folder or a model file.")
    facts, tensors = stored.facts, stored.tensors
    for version in range(stored.format, FORMAT):
        facts, tensors = UPGRADES[version](facts, tensors)
    task = TASKS.get(facts.get("task", ""))
    if task is None:
        raise RunError(f"{path}: task {facts.get('task')!r} is unknown. Upgrade Ostinato, or train again.")
    try:
        config = parse(CONFIGS, facts["config"], str(path), needs_data=False, is_old=True)
        encoder, codec = task.encoder_from_json(facts["encoder"]), task.codec_from_json(facts["codec"])
        with torch.random.fork_rng():
            network = task.build(config, encoder, codec)
        network.load_state_dict(tensors)
    except KeyError as error:
        raise RunError(f"{path}: the field {error.args[0]!r} is missing. Save the model again.") from None
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: its parts do not fit each other ({reason}). Save the model again.") from None
    return Model(task, config, encoder, codec, network.eval())
