"""The complete state of a training on disk, for resuming, and its best weights."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from ostinato.config.renamed import present_names
from ostinato.errors import RunError
from ostinato.storage import Stored, load_tensors, save_tensors
from ostinato.training.ranks import ALONE, Ranks

MOMENTS = {"step", "exp_avg", "exp_avg_sq"}  # of AdamW
TRAINING_TABLE = "table [training] of the config"


@dataclass
class TrainingState:
    """The progress of a training, without its tensors. `history` has one entry per epoch."""

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


class Checkpointer:
    """Saves a training's complete state and its best weights; in memory only if there is no folder.

    Args:
        fingerprints: what must be equal for a training to resume; both files hold it.
        average: the moving average of the weights, if there is one.
        ranks: the processes of the training, which save and restore together; only rank 0 has a folder.

    Attributes:
        planned_ranks: the number of ranks that the batches are planned for: those that the training began with.
    """

    def __init__(
        self,
        folder: Path | None,
        fingerprints: Mapping[str, Any],
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: dict[str, Tensor] | None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.ranks, self.planned_ranks = ranks, ranks.size
        self._saved = time.monotonic()
        self.folder, self.fingerprints, self.model = folder, fingerprints, model
        self.optimizer, self.average = optimizer, average
        self.best: dict[str, Tensor] = {}
        self.generators: dict[str, Tensor] = {}  # by the name in the checkpoint, of all ranks that saved it

    def save_last(self, state: TrainingState) -> None:
        """Write `last.safetensors`: weights, optimizer, averaged weights, random generators and progress."""
        self._saved = time.monotonic()
        generators = self.ranks.gather(torch.get_rng_state())
        if self.folder is None:
            return
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        names = self._names_in_the_optimizer()
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{names[index]}/{moment}": tensor for moment, tensor in moments.items()}
        tensors |= {f"average.{name}": tensor for name, tensor in (self.average or {}).items()}
        tensors |= {_generator(rank): state for rank, state in enumerate(generators)}
        if torch.cuda.is_available():
            tensors["cuda_generator"] = torch.cuda.get_rng_state()
        facts = {
            "kind": "checkpoint",
            "fingerprints": dict(self.fingerprints),
            "state": asdict(state),
            "ranks": self.planned_ranks,
        }
        save_tensors(self.folder / "last.safetensors", tensors, facts)

    def seconds_since_last(self) -> float:
        """Since `save_last`, or since this object was made."""
        return time.monotonic() - self._saved

    def restore(self) -> TrainingState:
        """Load the last checkpoint, if there is one, on every rank.

        Raises:
            RunError: it cannot be read, is not a checkpoint, or belongs to another training.
        """
        state = self._restored() if self.ranks.is_first else TrainingState()
        return self._on_all_ranks(state)

    def _on_all_ranks(self, state: TrainingState) -> TrainingState:
        """Give all ranks the progress, weights, moments and generators of rank 0, which has loaded them."""
        ranks = self.ranks
        if ranks.size == 1:
            return state
        state, self.planned_ranks, optimizer, self.generators = ranks.share(
            (state, self.planned_ranks, self.optimizer.state_dict(), self.generators)
        )
        ranks.copy_from_first([*self.model.state_dict().values(), *(self.average or {}).values()])
        if not ranks.is_first and state.step:
            self.optimizer.load_state_dict(optimizer)
            own = self.generators.get(_generator(ranks.rank))
            if own is None:  # fewer ranks saved it
                torch.manual_seed((torch.initial_seed() + state.step) % 2**63)
            else:
                torch.set_rng_state(own)
        return state

    def _restored(self) -> TrainingState:
        path = None if self.folder is None else self.folder / "last.safetensors"
        if path is None or not path.exists():
            return TrainingState()
        stored = load_tensors(path)
        _refuse_other_kind(path, stored.facts, "checkpoint")
        try:
            return self._restore(path, stored)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:  # tensors or facts missing
            raise RunError(
                f"{path}: not a complete checkpoint of this training ({type(error).__name__}: {error}). Copy it again, "
                "or train into a new folder.".replace("\n", " ")
            ) from None

    def _restore(self, path: Path, stored: Stored) -> TrainingState:
        tensors, facts = stored.tensors, stored.facts
        if stored.format == 1:
            tensors, facts = self._from_version_0_1(tensors, facts)
        self._refuse_other_training(path, facts["fingerprints"], stored.format)
        state = read_state(facts["state"])
        _load_weights(path, self.model, _under("model.", tensors))
        self._load_optimizer(_under("optimizer.", tensors))
        for name, weights in (self.average or {}).items():
            weights.copy_(tensors[f"average.{name}"])
        torch.set_rng_state(tensors[_generator(0)])
        self.generators = {name: tensor for name, tensor in tensors.items() if name.startswith(_generator(0))}
        self.planned_ranks = int(facts.get("ranks", 1))
        if "cuda_generator" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["cuda_generator"])
        return state

    def _load_optimizer(self, tensors: Mapping[str, Tensor]) -> None:
        """Load the optimizer's moments.

        Raises:
            KeyError: they are of an unknown parameter.
            ValueError: some are missing, or do not have the parameter's shape.
        """
        indices = {name: index for index, name in enumerate(self._names_in_the_optimizer())}
        shapes = {name: parameter.shape for name, parameter in self.model.named_parameters()}
        moments: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            name, _, moment = key.partition("/")
            moments.setdefault(indices[name], {})[moment] = tensor
            if tensor.shape != (() if moment == "step" else shapes[name]):
                raise ValueError(f"{key} has the shape {tuple(tensor.shape)}")
        if any(found.keys() != MOMENTS for found in moments.values()):
            raise ValueError(f"the optimizer has other moments than {', '.join(sorted(MOMENTS))}")
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})

    def _refuse_other_training(self, path: Path, found: Mapping[str, Any], version: int) -> None:
        """Refuse a file whose fingerprints are not those of this training."""
        for what, fingerprint in self.fingerprints.items():
            if version == 1 and (what not in found or found[what] == fingerprint):
                continue
            if version == 1:
                raise RunError(
                    f"{path}: this training was started by version 0.1, and the {what} has changed since, or this "
                    "version prepares it differently. Train into a new folder."
                )
            if found.get(what) != fingerprint:
                raise RunError(
                    f"{path}: the {what} has changed since, or the file belongs to another training. Restore it, or "
                    "train into a new folder."
                )

    def save_best(self, epoch: int) -> None:
        """Save the current weights, those of `epoch`; rank 0 does."""
        if not self.ranks.is_first:
            return
        weights = self.model.state_dict()
        if self.folder is None:
            self.best = {name: tensor.clone() for name, tensor in weights.items()}
        else:
            facts = {"kind": "weights", "epoch": epoch, "fingerprints": dict(self.fingerprints)}
            save_tensors(self.folder / "best.safetensors", weights, facts)

    def load_best(self, epoch: int) -> None:
        """Load the weights that `save_best` saved into the model, on every rank.

        Raises:
            RunError: the file cannot be read, or does not hold this training's weights of `epoch`.
        """
        if self.ranks.is_first:
            self._load_best(epoch)
        self.ranks.copy_from_first(list(self.model.state_dict().values()))

    def _load_best(self, epoch: int) -> None:
        if self.folder is None:
            self.model.load_state_dict(self.best)
            return
        path = self.folder / "best.safetensors"
        stored = load_tensors(path)
        _refuse_other_kind(path, stored.facts, "weights")
        if stored.format == 1:
            _load_weights(path, self.model, _present_weight_names(stored.tensors))
            return
        self._refuse_other_training(path, stored.facts.get("fingerprints", {}), stored.format)
        if stored.facts.get("epoch") != epoch:
            raise RunError(
                f"{path}: holds the weights of epoch {stored.facts.get('epoch')!r:.20}, but the best epoch is {epoch} "
                "(counted from 0). Copy the file again, or train into a new folder."
            )
        _load_weights(path, self.model, stored.tensors)

    def _names_in_the_optimizer(self) -> list[str]:
        """The parameters' names in the order of the optimizer's state."""
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        return [names[id(parameter)] for group in self.optimizer.param_groups for parameter in group["params"]]

    def _from_version_0_1(
        self, tensors: dict[str, Tensor], facts: dict[str, Any]
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The same checkpoint in today's format.

        0.1 numbered the optimizer's parameters, decayed ones first, and wrote the table [training] as text.
        """
        decayed: list[str] = []
        others: list[str] = []
        for name, parameter in self.model.named_parameters():
            was_decayed = parameter.dim() > 1 and not name.startswith(("embed", "position"))
            (decayed if was_decayed else others).append(name)
        order = [*decayed, *others]
        renamed = {}
        for key, tensor in tensors.items():
            kind, _, rest = key.partition(".")
            if kind == "optimizer":
                index, _, moment = rest.partition(".")
                renamed[f"optimizer.{order[int(index)]}/{moment}"] = tensor
            elif kind in ("model", "average"):
                renamed[f"{kind}.{_present_weight_name(rest)}"] = tensor
            else:
                renamed[key] = tensor
        prints = dict(facts["fingerprints"])
        then, now = present_names(json.loads(prints[TRAINING_TABLE]), warn=False), self.fingerprints[TRAINING_TABLE]
        if all(then.get(key, value) == value for key, value in now.items()):
            prints[TRAINING_TABLE] = now  # 0.1 had keys of other tasks here, and lacked some newer keys
        return renamed, {**facts, "fingerprints": prints}


def _generator(rank: int) -> str:
    """The name of a rank's random generator in a checkpoint."""
    return "generator" if rank == 0 else f"generator.{rank}"


def finished_weights(folder: Path | None) -> dict[str, Tensor] | None:
    """The last weights of a training that has finished; None if it has not, or if its checkpoint cannot be used.

    Raises:
        RunError: the checkpoint cannot be read.
    """
    path = None if folder is None else folder / "last.safetensors"
    if path is None or not path.exists():
        return None
    stored = load_tensors(path)
    state = stored.facts.get("state") if isinstance(stored.facts, dict) else None
    if not (isinstance(state, dict) and state.get("finished") is True):
        return None
    return _under("model.", stored.tensors)


def read_state(values: Any) -> TrainingState:
    """The progress in a checkpoint's facts.

    Raises:
        ValueError: a field is missing or of the wrong type, or the history ends with another epoch.
    """
    if not isinstance(values, dict) or values.keys() != asdict(TrainingState()).keys():
        raise ValueError("its state has other fields")
    try:
        state = TypeAdapter(TrainingState).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        problem = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None
    last = state.history[-1].get("epoch") if state.history else 0
    if last != state.epoch:
        raise ValueError(f"it has finished {state.epoch} epochs, but its history ends with epoch {last!r:.20}")
    return state


def _refuse_other_kind(path: Path, facts: Any, kind: str) -> None:
    """Refuse a file of Ostinato's that belongs in another place, or lacks its fingerprints."""
    found = facts.get("kind") if isinstance(facts, dict) else None
    if found == kind and not isinstance(facts.get("fingerprints", {}), dict):
        raise RunError(f"{path}: its fingerprints are not an object. Copy it again, or train into a new folder.")
    if found != kind:
        raise RunError(
            f"{path}: holds a {found!r:.40}, expected a {kind!r}. Put the run's own file back, or train into a new "
            "folder."
        )


WEIGHTS_RENAMED = {"front.": "conv_stem.", "capitals.": "word_shapes.", "embed.beyond": "embed.extra"}


def _present_weight_name(name: str) -> str:
    for old, new in WEIGHTS_RENAMED.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _present_weight_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {_present_weight_name(name): tensor for name, tensor in tensors.items()}


def _load_weights(path: Path, model: nn.Module, tensors: dict[str, Tensor]) -> None:
    try:
        model.load_state_dict(tensors)
    except RuntimeError:
        raise RunError(
            f"{path}: its weights do not fit the layers that the config describes. Restore config.toml, or train "
            "into a new folder."
        ) from None


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
