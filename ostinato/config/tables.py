"""The tables of a config that tasks share; each task adds its own keys and defaults in `ostinato/tasks/TASK/config.py`.

A config has `task` at the top and the tables `[data]`, `[model]` and `[training]`. Its keys carry the names of the
estimators' arguments. Many keys are `auto` by default: `Task.settle` chooses them from the training split.
"""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from ostinato.config.names import VECTORS, CellName, FormatName, SequenceCellName, TokenizerName
from ostinato.config.renamed import present_names

EngineName = Literal["auto", "reference", "torch", "native"]
PoolingName = Literal["last", "mean", "max", "attention"]

Value = TypeVar("Value")
AUTO: Any = "auto"  # the value of a key that is chosen from the training split
if TYPE_CHECKING:
    OrAuto = Annotated[Value, "settled"]  # only `settle` handles configs before the choice
else:
    OrAuto = Union[Value, Literal["auto"]]  # noqa: UP007, since only this form takes a type variable

Positive = Annotated[int, Field(ge=1)]
WITHOUT_RECURRENT_WEIGHTS = ("none", "cnn", "mingru", "minlstm")  # cells
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
    path: str | None = Field(None, description="a data file; with `validation_path` and `test_path`, the training file")
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
        None, description="a folder of `ostinato pretrain`, whose vocabulary, vectors and layers training starts from"
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
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 on GPUs that have it")
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


class SequenceData(DataConfig):
    """The data of a task with one target for each sequence."""

    PATHS: ClassVar[tuple[str, ...]] = (*DataConfig.PATHS, "label_table")
    OLD_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        **DataConfig.OLD_DEFAULTS,
        "tokenizer": None,
        "max_length": None,
        "truncate": "head",
        "scale": "channel",
    }

    text_column: str = Field("text", description="the column that holds the sequence")
    label_pattern: str | None = Field(
        None, description="FASTA: a regular expression whose group 1 is the label in the header"
    )
    label_table: str | None = Field(None, description="FASTA: a CSV or TSV file with the columns `id` and `label`")
    split_column: str | None = Field(None, description="a column that says train, validation or test")
    group_column: str | None = Field(None, description="rows of one group stay in one split")
    folds: int | None = Field(None, ge=2, description="split the rows into this many folds; `fold` is the test split")
    fold: int = Field(0, ge=0, description="which of the folds is the test split, from 0")
    length: int | list[int] | None = Field(
        None, description="generated sets: tokens in a sequence, or [shortest, longest]"
    )

    tokenizer: OrAuto[TokenizerName | None] = Field(
        AUTO,
        description="how sequences become tokens; none: the named set's own; for a file by its type: `words` for text, "
        "`events` for lists, `numeric` for series, `nucleotides` for FASTA",
    )
    max_length: OrAuto[Positive | None] = Field(AUTO, description="longer sequences are cut to this many tokens")
    truncate: OrAuto[Literal["head", "tail", "both"]] = Field(
        AUTO, description="which part of a sequence longer than max_length remains"
    )
    scale: OrAuto[Literal["channel", "series"]] = Field(
        AUTO,
        description="numeric series: standardise each channel over the training split, or each series by itself",
    )
    empty: Literal["drop", "refuse"] = Field("drop", description="what to do with training sequences of length 0")
    skip_unlabelled: bool = Field(False, description="leave out rows without a label instead of refusing the file")

    @field_validator("length")
    @classmethod
    def _length_or_range(cls, length: int | list[int] | None) -> int | list[int] | None:
        ends = [length, length] if isinstance(length, int) else length
        if ends is not None and not (len(ends) == 2 and 1 <= ends[0] <= ends[1]):
            raise ValueError(f"{length} is neither a length (20) nor a range [shortest, longest] ([10, 40])")
        return length

    @model_validator(mode="after")
    def _one_of_the_folds(self) -> "SequenceData":
        if self.fold >= (self.folds or 1):
            raise ValueError(f"fold {self.fold} is not one of {self.folds or 0} folds. Count from 0, and set folds")
        return self


class SequenceModel(ModelConfig):
    """The model of a task with one target for each sequence: its steps are pooled to one vector."""

    OLD_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        **ModelConfig.OLD_DEFAULTS,
        "position": None,
        "conv_size": None,
        "kernel_size": 5,
        "conv_pool": 1,
        "pooling": ["last"],
    }

    cell: SequenceCellName = Field("lstm", description="the recurrence; none: a linear model, the wide part alone")
    position: OrAuto[Literal["learned", "sinusoidal"] | None] = Field(
        AUTO, description="position embeddings, for windows aligned on a site"
    )
    conv_size: OrAuto[Annotated[int, Field(ge=1, le=65_536)] | None] = Field(
        AUTO, description="channels of a convolution before the recurrent layers; none: no convolution"
    )
    kernel_size: OrAuto[Annotated[int, Field(ge=1, le=10_000)]] = Field(
        AUTO, description="steps in a window of a convolution (cell cnn, or conv_size); odd if centred"
    )
    conv_pool: OrAuto[Annotated[int, Field(ge=1, le=10_000)]] = Field(
        AUTO, description="with conv_size: max-pool this many steps before the recurrent layers"
    )
    pooling: list[PoolingName] = Field(
        ["mean", "max"],
        min_length=1,
        validate_default=True,
        description="how steps become one vector; several are concatenated, also written as mean+max",
    )
    wide: Literal["ngrams", "kernels"] | None = Field(
        None,
        description="a linear model beside the recurrent layers, fitted before training: of n-grams of tokens, or of "
        "convolution kernels over series",
    )
    wide_order: int | None = Field(
        None,
        ge=1,
        le=20,
        description="with wide ngrams: tokens in the longest n-grams; none: 6 for letters, 3 for k-mers, else 2",
    )
    wide_letters: int = Field(
        0,
        ge=0,
        le=20,
        description="with wide ngrams: letters in the longest parts of a token that are features, too; 0: whole "
        "tokens only",
    )
    wide_ends: bool = Field(
        False, description="with wide ngrams: whether the first and last tokens of a sequence are features, too"
    )
    wide_size: int | None = Field(
        None,
        ge=1,
        le=2**24,
        description="features of the wide part, at most; none: 262,144 n-grams, or 9,996 of kernels, and fewer for "
        "many outputs or series",
    )

    @field_validator("pooling", mode="before")
    @classmethod
    def _one_is_a_list(cls, pooling: Any) -> Any:
        return pooling.split("+") if isinstance(pooling, str) else pooling

    @field_validator("pooling")
    @classmethod
    def _each_once(cls, pooling: list[str]) -> list[str]:
        if len(set(pooling)) < len(pooling):
            raise ValueError(f"{pooling} names a pooling twice. Name each once")
        return pooling

    @field_validator("pooling")
    @classmethod
    def _sees_the_whole_sequence(cls, pooling: list[str], model: ValidationInfo) -> list[str]:
        if pooling == ["last"] and model.data.get("cell") == "cnn":
            reason = "last shows cell cnn only the end of the sequence, as far as its windows reach"
            raise ValueError(f"{reason}. Give mean, max or attention")
        return pooling

    @field_validator("conv_size")
    @classmethod
    def _before_recurrent_layers(cls, conv_size: int | None, model: ValidationInfo) -> int | None:
        if conv_size not in (None, AUTO) and model.data.get("cell") == "cnn":
            raise ValueError(
                f"{conv_size} puts a convolution before recurrent layers, and cell cnn has none. "
                "Use num_layers and hidden_size instead"
            )
        return conv_size

    @field_validator("kernel_size")
    @classmethod
    def _has_a_middle(cls, kernel_size: int, model: ValidationInfo) -> int:
        is_used = model.data.get("cell") == "cnn" or model.data.get("conv_size") not in (None, AUTO)
        if kernel_size != AUTO and is_used and model.data.get("bidirectional") and kernel_size % 2 == 0:
            raise ValueError(
                f"{kernel_size} steps have no middle. Give an odd number, or bidirectional = false for windows that "
                "end with their step"
            )
        return kernel_size

    @field_validator("conv_pool")
    @classmethod
    def _after_a_convolution(cls, conv_pool: int, model: ValidationInfo) -> int:
        if conv_pool != AUTO and conv_pool > 1 and model.data.get("conv_size", 0) is None:
            raise ValueError(f"{conv_pool} pools the output of a convolution, and there is none. Set conv_size, or 1")
        return conv_pool

    @model_validator(mode="after")
    def _linear_model_has_features(self) -> "SequenceModel":
        if self.cell != "none":
            return self
        if self.wide is None:
            raise ValueError(
                "cell none is a linear model, and there are no features for it. Set wide = ngrams, or kernels"
            )
        for key in ("position", "conv_size"):
            if getattr(self, key) not in (None, AUTO):
                raise ValueError(f"{key} {getattr(self, key)} has no effect with cell none. Set {key} = none")
        return self

    @field_validator("engine")
    @classmethod
    def _serves_the_cell(cls, engine: str, model: ValidationInfo) -> str:
        if model.data.get("cell") == "cnn" and engine in ("reference", "native"):
            raise ValueError(f"{engine} runs recurrent layers, and cell cnn has none. Give auto or torch")
        return engine
