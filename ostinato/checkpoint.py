"""What is kept on disk of a model (one file, to serve) and of a training (its complete state, to resume)."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ostinato.config import ModelConfig
from ostinato.data.encoder import Encoder
from ostinato.data.tag_encoder import TagEncoder
from ostinato.errors import RunError
from ostinato.models import Classifier, Network, build_classifier, build_tagger
from ostinato.storage import load_tensors, save_tensors


def save_model(
    path: Path, model: Network, config: ModelConfig, encoder: Encoder | TagEncoder, parameters: dict[str, Any]
) -> None:
    """Write a network that `load_network` reads: weights, layers, tokens, labels and the estimator's arguments in one file.

    Raises:
        RunError: the disk is full or the place cannot be written; what was there before is untouched.
    """
    task = "tagging" if isinstance(encoder, TagEncoder) else "classification"
    facts = {
        "kind": "model",
        "task": task,
        "model": config.model_dump(),
        "encoder": encoder.to_json(),
        "parameters": parameters,
    }
    save_tensors(path, model.state_dict(), facts)


def model_file(path: Path) -> Path:
    """The model file at `path`, which is one or is a run folder."""
    return path / "model.safetensors" if path.is_dir() else path


def load_network(path: Path) -> tuple[Network, ModelConfig, Encoder | TagEncoder, dict[str, Any]]:
    """Read what `save_model` wrote, on the CPU, in eval mode: a `Classifier` with an `Encoder`, or a `Tagger` with a `TagEncoder`.

    Raises:
        RunError: the file is missing, truncated, altered, of a newer format, or not a model.
    """
    tensors, facts = load_tensors(path)
    if facts.get("kind") != "model":
        raise RunError(f"{path}: holds a {facts.get('kind')}, not a model. Name a run folder or its model.safetensors.")
    config = ModelConfig(**facts["model"])
    encoder: Encoder | TagEncoder
    model: Network
    if facts.get("task") == "tagging":
        encoder = TagEncoder.from_json(facts["encoder"])
        model = build_tagger(config, encoder)
    else:
        encoder = Encoder.from_json(facts["encoder"])
        model = build_classifier(config, encoder)
    _load_weights(path, model, tensors)
    return model.eval(), config, encoder, facts["parameters"]


def load_model(path: Path) -> tuple[Classifier, ModelConfig, Encoder, dict[str, Any]]:
    """As `load_network`, of a classifier.

    Raises:
        RunError: also where it is a tagger.
    """
    model, config, encoder, parameters = load_network(path)
    if not isinstance(model, Classifier) or not isinstance(encoder, Encoder):
        raise RunError(f"{path}: is a tagger, and this is for classifiers. Name a classifier's run.")
    return model, config, encoder, parameters


@dataclass
class TrainingState:
    """Where a training stands, besides its tensors. `history` has one entry an epoch."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    weight_sum: float = 0.0
    best: float | None = None
    best_epoch: int = 0
    finished: bool = False
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


class Keeper:
    """Keeps a training's complete state and best weights, on disk when there is a folder."""

    def __init__(
        self,
        folder: Path | None,
        fingerprints: dict[str, str],
        model: Network,
        optimizer: torch.optim.Optimizer,
        average: dict[str, Tensor] | None,
    ) -> None:
        self.folder, self.fingerprints, self.model, self.optimizer, self.average = (
            folder,
            fingerprints,
            model,
            optimizer,
            average,
        )
        self.best: dict[str, Tensor] = {}

    def save_last(self, state: TrainingState) -> None:
        if self.folder is None:
            return
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
        tensors |= {f"average.{name}": tensor for name, tensor in (self.average or {}).items()}
        tensors["generator"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["cuda_generator"] = torch.cuda.get_rng_state()
        save_tensors(
            self.folder / "last.safetensors",
            tensors,
            {"kind": "checkpoint", "fingerprints": self.fingerprints, "state": asdict(state)},
        )

    def restore(self) -> TrainingState:
        """Take up the last checkpoint, if there is one."""
        path = None if self.folder is None else self.folder / "last.safetensors"
        if path is None or not path.exists():
            return TrainingState()
        tensors, facts = load_tensors(path)
        for what, fingerprint in self.fingerprints.items():
            if facts["fingerprints"][what] != fingerprint:
                raise RunError(
                    f"{path}: the {what} has changed since. Put it back as it was, or train into a new folder."
                )
        _load_weights(path, self.model, _under("model.", tensors))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under("optimizer.", tensors).items():
            index, _, moment = name.partition(".")
            moments.setdefault(int(index), {})[moment] = tensor
        self.optimizer.load_state_dict({"state": moments, "param_groups": self.optimizer.state_dict()["param_groups"]})
        for name, tensor in _under("average.", tensors).items():
            (self.average or {})[name].copy_(tensor)
        torch.set_rng_state(tensors["generator"])
        if "cuda_generator" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["cuda_generator"])
        return TrainingState(**facts["state"])

    def save_best(self) -> None:
        weights = self.model.state_dict()
        if self.folder is None:
            self.best = {name: tensor.clone() for name, tensor in weights.items()}
        else:
            save_tensors(self.folder / "best.safetensors", weights, {"kind": "weights"})

    def load_best(self, state: TrainingState) -> None:
        if self.folder is None:
            self.model.load_state_dict(self.best)
        else:
            path = self.folder / "best.safetensors"
            _load_weights(path, self.model, load_tensors(path)[0])


def _load_weights(path: Path, model: Network, tensors: dict[str, Tensor]) -> None:
    try:
        model.load_state_dict(tensors)
    except RuntimeError:
        raise RunError(
            f"{path}: its weights are of other layers than the config gives. Put config.toml back as it was, or train into a new folder."
        ) from None


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
