"""The base class of all estimators: arguments, training, saving, and the conventions of scikit-learn.

The arguments of an estimator have the names and defaults of the keys in its task's config.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError as SklearnNotFittedError

from ostinato.config import Config
from ostinato.config.reading import parse
from ostinato.config.renamed import present_names
from ostinato.data.shown import count_of
from ostinato.errors import ConfigError, NotFittedError
from ostinato.printable import plain_repr
from ostinato.progress import Progress
from ostinato.tasks.base import Task
from ostinato.tasks.init import adopt, with_encoder
from ostinato.tasks.records import Model, TaskData, Trained

if TYPE_CHECKING:
    from ostinato.nn.network import Network
    from ostinato.tasks.stream import Stream

Class = TypeVar("Class")
MOST_SEED = 2**32


def accept_old_names(cls: type[Class]) -> type[Class]:
    """Make an estimator also accept the argument names of version 0.1, with a FutureWarning."""
    original_init: Any = cls.__init__

    @functools.wraps(original_init)
    def init(self: Any, **arguments: Any) -> None:
        original_init(self, **present_names(arguments))

    setattr(cls, "__init__", init)  # noqa: B010, since mypy forbids the assignment
    return cls


class UnfittedError(NotFittedError, SklearnNotFittedError):  # type: ignore[misc]
    """Raised by an estimator before `fit`; both an Ostinato and a scikit-learn NotFittedError."""


class NoAudit:
    """An empty audit: estimators neither remove rows nor report on them."""

    findings: ClassVar[list[str]] = []

    def lines(self) -> list[str]:
        return []

    def to_json(self) -> dict[str, Any]:
        return {}


def too_few_to_validate(rows: int, what: str) -> str:
    """The warning of a `fit` that can hold out no rows for validation."""
    return (
        f"{count_of(rows, what)} {'is' if rows == 1 else 'are'} too few to hold any out for validation: training runs "
        "to the last epoch, without early stopping. Add rows, or pass validation_data; to train like this without a "
        "warning, pass validation_fraction=None."
    )


@dataclass(kw_only=True, eq=False, repr=False)
class Estimator(BaseEstimator):  # type: ignore[misc]
    """The arguments and methods that are the same for every task.

    Attributes:
        config_: the config of the training.
        fitted_: the trained model with its encoder and codec; `model_` is its `torch.nn.Module`.
        history_: one entry per epoch.
        n_iter_: number of epochs trained.
    """

    task: ClassVar[Task]

    cell: str = "lstm"
    nonlinearity: str = "tanh"
    embedding_size: int = 64
    hidden_size: int = 64
    num_layers: int = 1
    bidirectional: bool = True
    residual: bool = False
    layer_norm: bool = False
    dropout: float = 0.3
    weight_dropout: float = 0.0
    embedding_dropout: float = 0.0
    word_dropout: float = 0.0
    engine: str = "auto"
    init: str | None = None
    init_lr_ratio: float = 0.5
    init_freeze: float = 0.1
    min_count: int | str = "auto"
    max_size: int | str | None = "auto"
    vectors: str | None = None
    extra_vectors: int = 50_000
    vectors_on_error: str = "refuse"
    freeze_vectors: str | int = "never"
    max_epochs: int | str = "auto"
    batch_size: int | str = "auto"
    max_tokens: int | str | None = "auto"
    gradient_accumulation_steps: int = 1
    lr: float | str = "auto"
    weight_decay: float = 0.01
    schedule: str = "cosine"
    warmup_ratio: float = 0.05
    max_grad_norm: float | None = 1.0
    monitor: str = "loss"
    patience: int | str | None = "auto"
    ema_decay: float | None = None
    swa_start: int | None = None
    r_drop: float = 0.0
    adversarial: str | None = None
    adversarial_norm: float = 5.0
    adversarial_weight: float = 1.0
    precision: str = "auto"
    device: str = "auto"
    seed: int = 0
    random_state: Any = None
    validation_fraction: float | None = 0.1
    verbose: bool = False

    def set_params(self, **params: Any) -> Any:
        """Set arguments by name, as in scikit-learn."""
        return super().set_params(**present_names(params))

    @property
    def model_(self) -> "Network":
        """The trained `torch.nn.Module`."""
        network: Network = self._fitted("").network
        return network

    @property
    def config_(self) -> Config:
        """The config of the training, with every argument that was "auto" chosen."""
        return self._fitted("").config

    @property
    def encoder_(self) -> Any:
        """The fitted encoder, which turns sequences into the network's input."""
        return self._fitted("").encoder

    @property
    def codec_(self) -> Any:
        """The fitted codec, which turns targets into numbers and back."""
        return self._fitted("").codec

    def save(self, path: str | Path) -> None:
        """Write weights, config, encoder and codec to one file for `ostinato.load`. No pickle.

        Raises:
            NotFittedError: before `fit`.
            DataError: labels that are not strings, numbers or booleans.
            RunError: the file cannot be written.
        """
        from ostinato.tasks.model_file import save_model

        save_model(Path(path), self._fitted("There is nothing to save. "))

    def stream(self, state: Mapping[str, Any] | None = None) -> "Stream":
        """Start to read one sequence in pieces: `push` answers for everything read so far.

        Args:
            state: what `state()` of an earlier stream returned, to continue it to the last bit.

        Raises:
            NotFittedError: before `fit`.
            ConfigError: the model cannot answer before the end of a sequence.
            RunError: the state is of another model or format, or damaged.
        """
        return self.task.stream(self._fitted(""), state)

    @classmethod
    def of(cls, model: Model) -> Any:
        """Build a fitted estimator from a loaded model; its arguments come from the model's config."""
        config = model.config
        values: dict[str, Any] = {}
        for table in (config.data, config.training, config.model):
            values |= table.model_dump()
        held_out = config.data.validation_size
        if held_out == 0 or isinstance(held_out, float):  # a number of rows is not a share
            values["validation_fraction"] = held_out or None
        values |= {
            "seed": config.training.seed,
            "device": "auto",
            "tokenizer": getattr(model.encoder, "tokenizer", None),
        }
        made = cls(**{name: values[name] for name in cls._get_param_names() if name in values})
        made._take(model)
        return made

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fitted_")

    def _fitted(self, consequence: str) -> Model:
        """The trained model.

        Raises:
            NotFittedError: before `fit`.
        """
        if not hasattr(self, "fitted_"):
            raise UnfittedError(
                f"This {type(self).__name__} is not fitted yet. {consequence}Call fit(X, y) first, or "
                "ostinato.load(path)."
            )
        model: Model = self.fitted_
        return model

    def _config(self, **replaced: Any) -> Config:
        """The arguments as a checked config.

        Raises:
            ConfigError: invalid arguments, all at once.
        """
        arguments = {name: _plain(value) for name, value in self.get_params(deep=False).items()} | replaced
        arguments["seed"] = self._seed()
        values: dict[str, Any] = {"task": self.task.name}
        for table in Config.TABLES:
            fields = self.task.config.model_fields[table].annotation.model_fields  # type: ignore[union-attr]
            values[table] = {key: arguments[key] for key in fields if key in arguments}
        fraction = arguments["validation_fraction"]
        if fraction is not None and not (isinstance(fraction, float) and 0 < fraction < 1):
            raise ConfigError(
                f"validation_fraction {fraction!r} is invalid. Expected a number between 0 and 1, or None to hold out "
                "no rows."
            )
        values["data"]["validation_size"] = 0 if fraction is None else fraction
        if arguments["init"] is not None:
            values |= {table: self._without_defaults(table, values[table]) for table in ("data", "model")}
        source = type(self).__name__
        config = parse({self.task.name: self.task.config}, values, source, needs_data=False)
        return with_encoder(config, source)

    def _without_defaults(self, table: str, values: dict[str, Any]) -> dict[str, Any]:
        """The arguments that differ from their defaults; `init` fills in the others."""
        fields = self.task.config.model_fields[table].annotation.model_fields  # type: ignore[union-attr]
        return {key: value for key, value in values.items() if value != fields[key].get_default()}

    def _seed(self) -> int:
        """`seed`, or the seed that `random_state` defines."""
        state = self.random_state
        if state is None:
            seed: int = _plain(self.seed)
            return seed
        if isinstance(state, np.random.RandomState | np.random.Generator):
            draw = state.integers if isinstance(state, np.random.Generator) else state.randint
            return int(draw(MOST_SEED, dtype=np.int64))
        if isinstance(state, int | np.integer) and not isinstance(state, bool) and state >= 0:
            return int(state)
        raise ConfigError(
            f"random_state {plain_repr(state)} is invalid. Expected None, an integer of at least 0, or a NumPy "
            "generator."
        )

    def _adopt(self, config: Config, data: TaskData) -> TaskData:
        """The data, encoded with the vocabulary of the pre-training that `init` names, if any."""
        return data if config.model.init is None else adopt(self.task, config, data)

    def _train(self, config: Config, data: TaskData) -> Trained:
        self.task.check(config, data)
        return self.task.fit(config, data, progress=self._progress())

    def _progress(self) -> Progress:
        return Progress(quiet=not self.verbose)

    def _take(self, model: Model, trained: Trained | None = None) -> None:
        self.fitted_ = model
        if trained is not None:
            self.history_, self.n_iter_ = trained.state.history, trained.state.epoch


def _plain(value: Any) -> Any:
    """Turn NumPy scalars into Python values and tuples into lists, the types that a config holds."""
    if isinstance(value, np.generic):
        return value.item()
    return list(value) if isinstance(value, tuple) else value
