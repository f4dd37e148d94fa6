"""Model files: format version, task, config, encoder, codec and weights in one file.

Files of earlier formats are upgraded step by step: `UPGRADES[n]` turns the facts and weights of format n into those of
format n + 1. Upgrades use no current class, so later changes cannot break them.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from ostinato.config.reading import parse
from ostinato.data.stored import StoredFields
from ostinato.errors import ConfigError, RunError
from ostinato.storage import FORMAT, load_tensors, refuse_altered, save_tensors
from ostinato.tasks import TASKS
from ostinato.tasks.ensembles import join
from ostinato.tasks.hub import MODEL, HubAddress, fetch_model, is_on_hub
from ostinato.tasks.records import Model
from ostinato.tasks.upgrades import from_version_0_1

if TYPE_CHECKING:
    from torch import Tensor

    from ostinato.nn import AttentionPooling, Network

Facts = dict[str, Any]
Upgrade = Callable[[Facts, "dict[str, Tensor]"], "tuple[Facts, dict[str, Tensor]]"]
MEMBERS = "members."  # the beginning of the names of their weights
ENSEMBLE = "ensemble"  # the kind of a file with several models
UPGRADES: Mapping[int, Upgrade] = {1: from_version_0_1}


def save_model(path: Path, model: Model) -> None:
    """Write a model to a file for `load_model`.

    Raises:
        RunError: the disk is full or the path cannot be written; an existing file is left unchanged.
    """
    facts = _facts_of(model)
    if model.members:
        facts = {"kind": ENSEMBLE, "members": [_facts_of(member) for member in model.members]}
    save_tensors(path, model.network.state_dict(), facts)


def _facts_of(model: Model) -> Facts:
    return {
        "kind": "model",
        "task": model.task.name,
        "config": model.config.model_dump(mode="json", exclude={"search"}),
        "encoder": model.encoder.to_json(),
        "codec": model.codec.to_json(),
        "attention_by_step": any(pooling.by_step for pooling in _attention_of(model.network)),
    }


def model_file(path: Path) -> Path:
    """The path of the model file; `path` may also be a run folder, or an address on the hub, from which it is fetched.

    Raises:
        RunError: it cannot be fetched.
        MissingExtraError: it is on the hub, and huggingface_hub is not installed.
    """
    if is_on_hub(path):
        return fetch_model(HubAddress.parse(path))
    return path / MODEL if path.is_dir() else path


def load_model(path: Path) -> Model:
    """Load a model from a model file, a finished run folder or the hub, without running any code from it.

    The network is on the CPU and in eval mode.

    Raises:
        RunError: the file is missing, truncated, altered, of a newer format, or not a model.
    """
    is_run = path.is_dir()
    path = model_file(path)
    stored = load_tensors(path)
    if is_run:
        refuse_altered(path)
    facts, tensors = stored.facts, stored.tensors
    try:
        if facts.get("kind") == ENSEMBLE:
            return _ensemble_of(EnsembleFacts.read(facts, "facts"), tensors)
        if facts.get("kind") == "encoder":
            raise RunError(
                "a pre-training, which gives no answers. Train a model from it: ostinato train config.toml --set "
                f"model.init={path.parent}"
            )
        if facts.get("kind") != "model":
            raise RunError(f"not a model: kind {facts.get('kind')!r}. Name a run folder or a model file.")
        for version in range(stored.format, FORMAT):
            facts, tensors = UPGRADES[version](facts, tensors)
        return _model_of(ModelFacts.read(facts, "facts"), tensors)
    except (RunError, ConfigError) as error:
        raise RunError(f"{path}: {str(error).splitlines()[0]}") from None


class ModelFacts(StoredFields):
    """The contents of a model file besides the weights.

    `attention_by_step` is the order in which attention pooling sums. Files without it have the order of version 0.1, so
    that their answers keep their last bits.
    """

    kind: Literal["model"]
    task: str
    config: Facts
    encoder: Facts
    codec: Facts
    attention_by_step: bool = False


class EnsembleFacts(StoredFields):
    """The contents of the file of an ensemble besides the weights; `members` has the facts of each model.

    The weights of member 0 are `members.0.` and their own name; those without `members.` are the ensemble's.
    """

    kind: Literal["ensemble"]
    members: list[Facts]


def _ensemble_of(facts: EnsembleFacts, tensors: "dict[str, Tensor]") -> Model:
    """Build the members and join them.

    Raises:
        RunError, ConfigError: a member cannot be built, or the members do not fit each other.
    """
    members = []
    for number, each in enumerate(facts.members):
        start = f"{MEMBERS}{number}."
        own = {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
        members.append(_model_of(ModelFacts.read(each, f"facts.members.{number}"), own))
    model = join(members)
    expected = model.network.state_dict()
    _refuse_other_weights(expected, tensors)
    _refuse_impossible_values(model.network.RANGES, tensors)
    if not math.isclose(float(tensors["weights"].sum()), 1, abs_tol=1e-6):
        raise RunError(f"the weights of the members have the sum {float(tensors['weights'].sum()):g}, expected 1.")
    model.network.load_state_dict(tensors)
    return model


def _model_of(facts: ModelFacts, tensors: "dict[str, Tensor]") -> Model:
    """Build the model from facts and weights.

    Raises:
        RunError, ConfigError: a field is missing, of the wrong type, or inconsistent with the others; names it.
    """
    task = TASKS.get(facts.task)
    if task is None:
        raise RunError(f"unknown task {facts.task!r}. Upgrade Ostinato, or train again.")
    config = parse(
        {task.name: task.config}, {"task": task.name, **facts.config}, "config", needs_data=False, is_old=True
    )
    encoder, codec = task.encoder_from_json(facts.encoder), task.codec_from_json(facts.codec)
    with torch.device("meta"):  # shapes without memory: the config may ask for more than there is
        expected = task.build(config, encoder, codec)
    expected.prepare_for(tensors)
    _refuse_other_weights(expected.state_dict(), tensors)
    _refuse_impossible_values(expected.RANGES, tensors)
    with torch.random.fork_rng():
        network = task.build(config, encoder, codec)
    network.prepare_for(tensors)
    network.load_state_dict(tensors)
    for pooling in _attention_of(network):
        pooling.by_step = facts.attention_by_step
    return Model(task, config, encoder, codec, network.eval())


def _attention_of(network: "Network") -> "list[AttentionPooling]":
    from ostinato.nn import AttentionPooling

    return [module for module in network.modules() if isinstance(module, AttentionPooling)]


def _refuse_other_weights(expected: "Mapping[str, Tensor]", found: "Mapping[str, Tensor]") -> None:
    """Refuse weights that are missing, unknown, or of a shape or type that does not match the config.

    Raises:
        RunError: names the first of them.
    """
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise RunError(f"the weights {name} are missing. Save the model again.")
        if name not in expected:
            raise RunError(f"the config has no layer for the weights {name}. Save the model again.")
        shape, expected_shape = tuple(found[name].shape), tuple(expected[name].shape)
        if shape != expected_shape:
            raise RunError(f"the weights {name} have shape {shape}, expected {expected_shape}. Save the model again.")
        dtype, expected_dtype = found[name].dtype, expected[name].dtype
        if dtype != expected_dtype:
            raise RunError(f"the weights {name} are {dtype}, expected {expected_dtype}. Save the model again.")


def _refuse_impossible_values(ranges: "Mapping[str, tuple[float, float]]", tensors: "Mapping[str, Tensor]") -> None:
    """Refuse NaN and infinite weights, and values outside the range that their meaning allows.

    Raises:
        RunError: names the first of them.
    """
    for name, tensor in sorted(tensors.items()):
        low, high = ranges.get(name, (-torch.inf, torch.inf))
        is_possible = tensor.isfinite() & (tensor >= low) & (tensor <= high)
        if not is_possible.all():
            value = float(tensor[~is_possible].flatten()[0])
            expected = f"a number from {low:g} to {high:g}" if name in ranges else "finite numbers"
            raise RunError(f"the weights {name} contain {value:g}, expected {expected}. Train again.")
