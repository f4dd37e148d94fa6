"""The tables of a config that tasks share; each task adds its own keys and defaults in `ostinato/tasks/TASK/config.py`.

A config has `task` at the top and the tables `[data]`, `[model]` and `[training]`. Its keys carry the names of the
estimators' arguments. Many keys are `auto` by default: `Task.settle` chooses them from the training split.
"""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from ostinato.config.names import VECTORS, CellName, FormatName
from ostinato.config.renamed import present_names

EngineName = Literal["auto", "reference", "torch", "native"]

Value = TypeVar("Value")
AUTO: Any = "auto"  # the value of a key that is chosen from the training split
if TYPE_CHECKING:
    OrAuto = Annotated[Value, "settled"]  # only `settle` handles configs before the choice
else:
    OrAuto = Union[Value, Literal["auto"]]  # noqa: UP007, since only this form takes a type variable

Positive = Annotated[int, Field(ge=1)]
SCANS = ("mingru", "minlstm", "mingru_signed", "minlstm_signed", "rglru", "lru")
WITHOUT_RECURRENT_WEIGHTS = ("none", "cnn", *SCANS)  # cells
NONE = "none"  # TOML has no null: how a config says that a key is switched off
FROM_FILE = "from_file"  # in a validation's context: the config comes from a file, so it must name its data
OLD_RUN = "old_run"  # in a validation's context: version 0.1 wrote the config, so old keys need no warning


class Table(BaseModel):
    """A table of the config: frozen, strict about types, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    OBSOLETE: ClassVar[tuple[str, ...]] = ()  # keys that version 0.1 wrote here, without effect
    OLD_DEFAULTS: ClassVar[Mapping[str, Any]] = {}  # those of version 0.1 that have changed

    @classmethod
    def with_old_defaults(cls, **values: Any) -> Any:
        """The table with these values, and the defaults of version 0.1 for all other keys."""
        return cls(**{**cls.OLD_DEFAULTS, **values})

    def open_keys(self) -> list[str]:
        """The keys that are still to be chosen from the data."""
        return [key for key in self.OLD_DEFAULTS if getattr(self, key) == AUTO]

    @model_validator(mode="before")
    @classmethod
    def _read_toml(cls, values: Any, info: ValidationInfo) -> Any:
        """Take `none` for null, and keys of version 0.1 under their present names."""
        if not isinstance(values, Mapping):
            return values
        is_old = bool((info.context or {}).get(OLD_RUN))
        named = present_names(values, warn=not is_old)
        for key in named.keys() & set(cls.OBSOLETE):
            del named[key]
            if not is_old:
                warnings.warn(f"{key} has no effect. Remove it.", FutureWarning, stacklevel=3)
        if is_old:
            named = {**cls.OLD_DEFAULTS, **named}
        return {key: None if value == NONE and _is_optional(cls, key) else value for key, value in named.items()}


def _is_optional(table: type[BaseModel], key: str) -> bool:
    field = table.model_fields.get(key)
    return field is not None and type(None) in get_args(field.annotation)


class DataConfig(Table):
    """Where the sequences come from, how they are split, and how they are encoded."""

    PATHS: ClassVar[tuple[str, ...]] = ("path", "validation_path", "test_path", "vectors")  # keys that name files
    OLD_DEFAULTS: ClassVar[Mapping[str, Any]] = {"min_count": 1, "max_size": None}

    name: str | None = Field(None, description="a named data set (`ostinato data list`)")
    path: str | None = Field(
        None,
        description="a data file, a folder of them, or a pattern such as `logs/*.csv`; with `validation_path` and "
        "`test_path`, the training rows",
    )
    validation_path: str | None = Field(None, description="a file with the validation rows")
    test_path: str | None = Field(None, description="a file with the test rows")
    format: FormatName | None = Field(None, description="the files' format; none: taken from the file's ending")

    train_size: int | float | None = Field(
        None, description="rows (a whole number) or share (below 1); none: the rows that the other splits leave"
    )
    validation_size: int | float = Field(0.1, description="rows or share; 0: no validation split")
    test_size: int | float = Field(0.2, description="rows or share; 0: no test split")
    train_fraction: float | None = Field(None, gt=0, le=1, description="train on this share of the training split")

    min_count: OrAuto[Positive] = Field(AUTO, description="tokens that are rarer in train are out of vocabulary")
    max_size: OrAuto[Positive | None] = Field(
        AUTO, description="at most this many tokens in the vocabulary, by frequency"
    )
    vectors: str | None = Field(None, description="pretrained vectors of the tokens: glove-50d, or a file")
    extra_vectors: int = Field(
        50_000, ge=0, description="with vectors: how many words outside the training vocabulary keep their vector"
    )
    vectors_on_error: Literal["refuse", "skip"] = Field(
        "refuse", description="what to do with malformed lines of the vector file"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="draws generated data and random splits, not the training")

    @field_validator("train_size", "validation_size", "test_size")
    @classmethod
    def _rows_or_share(cls, size: int | float | None) -> int | float | None:
        if size is not None and (size < 0 or (isinstance(size, float) and not size < 1)):
            raise ValueError(f"{size} is neither a number of rows (0, 1, 2, …) nor a share (from 0 to below 1, as 0.2)")
        return size

    def files(self) -> dict[str, str]:
        """The files that the config names, by key; not pretrained vectors that are known by a name."""
        paths = {key: getattr(self, key) for key in self.PATHS}
        return {key: path for key, path in paths.items() if path is not None and path not in VECTORS}

    @model_validator(mode="after")
    def _one_source(self, info: ValidationInfo) -> "DataConfig":
        is_missing = self.name is None and self.path is None and bool((info.context or {}).get(FROM_FILE))
        if is_missing or (self.name is not None and self.path is not None):
            raise ValueError("give exactly one of name (a named data set) and path (a file)")
        return self


class ModelConfig(Table):
    """The layers from token to output."""

    OLD_DEFAULTS: ClassVar[Mapping[str, Any]] = {"bidirectional": False, "dropout": 0.0}

    cell: CellName = Field("lstm", description="the recurrence")
    nonlinearity: Literal["tanh", "relu"] = Field("tanh", description="cell rnn: the activation")
    embedding_size: int = Field(
        64, ge=1, le=65_536, description="size of a token's vector (numeric series: of a projection of the channels)"
    )
    hidden_size: int = Field(64, ge=1, le=65_536, description="size of the state per direction; cell cnn: channels")
    num_layers: int = Field(1, ge=1, le=1000, description="layers in the stack")
    bidirectional: bool = Field(
        True, description="read in both directions; convolutions: centre each window instead of ending it at its step"
    )
    residual: bool = Field(False, description="add each layer's input to its output, from the second layer on")
    layer_norm: bool = Field(False, description="normalise each layer's output")
    dropout: float = Field(
        0.3, ge=0, lt=1, description="variational, on each layer's input; ordinary, before the output layer"
    )
    weight_dropout: float = Field(
        0.0, ge=0, lt=1, description="of the recurrent weights, with one mask for each forward pass"
    )
    embedding_dropout: float = Field(
        0.0, ge=0, lt=1, description="share of tokens whose vector is zero wherever they occur in a training batch"
    )
    word_dropout: float = Field(
        0.0, ge=0, lt=1, description="share of tokens that training replaces with the unknown token"
    )
    engine: EngineName = Field("auto", description="how the layers are executed")
    init: str | None = Field(
        None,
        description="a folder or preset of `ostinato pretrain`, whose vocabulary, vectors and layers are the start",
    )

    @field_validator("weight_dropout")
    @classmethod
    def _has_recurrent_weights(cls, dropout: float, model: ValidationInfo) -> float:
        if dropout and model.data.get("cell") in WITHOUT_RECURRENT_WEIGHTS:
            raise ValueError(f"{dropout:g}: cell {model.data['cell']} has no recurrent weights to drop. Set it to 0")
        return dropout

    @property
    def is_noisy(self) -> bool:
        """Whether two forward passes in training differ."""
        return any((self.dropout, self.weight_dropout, self.embedding_dropout, self.word_dropout))


class TrainingConfig(Table):
    """How the weights are trained."""

    LOWER_IS_BETTER: ClassVar[tuple[str, ...]] = ("loss",)  # of the metrics that `monitor` can name
    OLD_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "max_epochs": 20,
        "batch_size": 32,
        "max_tokens": None,
        "lr": 1e-3,
        "patience": 5,
    }

    max_epochs: OrAuto[Positive] = AUTO
    batch_size: OrAuto[Positive] = Field(AUTO, description="sequences in a batch")
    max_tokens: OrAuto[Positive | None] = Field(
        AUTO, description="batches of about this many tokens instead of batch_size rows"
    )
    gradient_accumulation_steps: int = Field(1, ge=1, description="batches in one optimizer step")
    lr: OrAuto[Annotated[float, Field(gt=0)]] = Field(AUTO, description="AdamW's learning rate at its peak")
    weight_decay: float = Field(0.01, ge=0, description="of weight matrices; embeddings, biases and norms have none")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="the learning rate after the warm-up")
    warmup_ratio: float = Field(0.05, ge=0, lt=1, description="share of all steps in which the learning rate rises")
    max_grad_norm: float | None = Field(1.0, gt=0, description="larger gradients are scaled down to this norm")
    freeze_vectors: Literal["never", "always"] | int = Field(
        "never", description="keep data.vectors fixed: never, always, or for this many epochs"
    )
    init_lr_ratio: float = Field(
        0.5,
        gt=0,
        le=1,
        description="with model.init: learning rate of each layer relative to the one above; embeddings are lowest",
    )
    init_freeze: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="with model.init: share of all steps in which its layers are unfrozen, the top one first",
    )
    monitor: str = Field("loss", description="the validation metric that picks the best epoch")
    patience: OrAuto[Positive | None] = Field(
        AUTO, description="epochs without improvement before stopping; none: train to the end"
    )
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="use an exponential moving average of the weights with this decay"
    )
    swa_start: int | None = Field(
        None, ge=1, description="use the mean of the weights at the ends of the epochs from this one on (SWA)"
    )
    r_drop: float = Field(
        0.0, ge=0, description="weight of the divergence between two passes with different dropout masks (R-Drop)"
    )
    adversarial: Literal["supervised", "virtual"] | None = Field(
        None,
        description="also train on worst-case perturbations of the steps' vectors: those that raise the loss "
        "(supervised), or change the answer, whatever the target (virtual)",
    )
    adversarial_norm: float = Field(
        5.0, gt=0, description="with adversarial: norm of a sequence's perturbation, in standard deviations of vectors"
    )
    adversarial_weight: float = Field(1.0, gt=0, description="with adversarial: weight of its loss")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of products in training; auto: bfloat16 on GPUs that have it, float32 on CPUs"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, …")
    checkpoint_every_s: float = Field(60.0, gt=0, description="seconds between checkpoints within an epoch")
    seed: int = Field(0, ge=0, lt=2**63, description="draws weights, batch order and dropout, not the splits")

    @field_validator("swa_start")
    @classmethod
    def _averages_once(cls, start: int | None, training: ValidationInfo) -> int | None:
        if start is not None and training.data.get("ema_decay") is not None:
            raise ValueError(
                f"{start} and ema_decay {training.data['ema_decay']:g} each average the weights. Set one of them to "
                "none"
            )
        epochs = training.data.get("max_epochs", AUTO)
        if start is not None and epochs != AUTO and start > epochs:
            raise ValueError(f"{start} is after the last epoch, {epochs}. Give at most max_epochs, or none")
        return start

    @property
    def minimises(self) -> bool:
        """Whether a lower value of the metric that `monitor` names is better."""
        return self.monitor in self.LOWER_IS_BETTER

    @field_validator("freeze_vectors")
    @classmethod
    def _epochs(cls, frozen: str | int) -> str | int:
        if isinstance(frozen, int) and frozen < 0:
            raise ValueError(f"{frozen} is not a number of epochs. Give never, always, or 1, 2, …")
        return frozen


class Range(Table):
    """A range that `ostinato tune` searches; whole numbers if both ends are."""

    low: int | float
    high: int | float
    log: bool = Field(False, description="sample on a logarithmic scale")


class Config(Table):
    """A complete, re-runnable description of one training; `search` is used only by `ostinato tune`."""

    TABLES: ClassVar[tuple[str, ...]] = ("data", "model", "training")
    OLD_DEFAULTS: ClassVar[Mapping[str, Any]] = {"model": {}, "training": {}}

    task: str
    data: DataConfig
    model: ModelConfig
    training: TrainingConfig
    search: dict[str, Range | list[Any]] | None = Field(
        None, description='for `ostinato tune`: a range or choices for each "table.key"'
    )

    @model_validator(mode="after")
    def _has_vectors_to_freeze(self) -> "Config":
        frozen = self.training.freeze_vectors
        if frozen != "never" and self.data.vectors is None:
            raise ValueError(f"training.freeze_vectors {frozen}: there are no vectors. Set data.vectors, or remove it")
        return self

    @model_validator(mode="after")
    def _has_layers_for_vectors(self) -> "Config":
        if self.model.cell == NONE and self.data.vectors is not None:
            raise ValueError(f"data.vectors {self.data.vectors}: cell none has no embedding. Set vectors = none")
        return self

    @property
    def is_settled(self) -> bool:
        """Whether no key is left to be chosen from the data."""
        return not any(getattr(self, table).open_keys() for table in self.TABLES)

    @model_validator(mode="after")
    def _r_drop_has_noise(self) -> "Config":
        if self.training.r_drop and not self.model.is_noisy:
            raise ValueError(
                f"training.r_drop {self.training.r_drop:g} compares two passes with different dropout masks, and "
                "nothing is dropped. Set model.dropout, or r_drop = 0"
            )
        return self

    @model_validator(mode="after")
    def _regularises_layers(self) -> "Config":
        settings = self.model.model_dump(include={"embedding_dropout", "word_dropout"})
        settings |= self.training.model_dump(include={"r_drop", "adversarial"})
        for key, value in settings.items():
            if self.model.cell == NONE and value:
                raise ValueError(f"{key} {value} has no effect with cell none. Remove it")
        return self

    def keys(self) -> list[str]:
        """Every `table.key` of the config."""
        return [f"{table}.{key}" for table in self.TABLES for key in type(getattr(self, table)).model_fields]
