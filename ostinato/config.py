"""The configuration of a run: what it says, how it is read, changed, checked and written.

A config has `task` at the top and the tables `[data]`, `[model]` and `[training]`. Its keys carry the
names of the estimator's arguments. All faults are reported at once, one a line.
"""

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails

from ostinato.errors import ConfigError, suggest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CellName = Literal["rnn", "lstm", "gru", "mingru", "minlstm", "lnlstm", "cnn"]
EngineName = Literal["auto", "reference", "torch", "native"]
PoolingName = Literal["last", "mean", "max", "attention"]
FormatName = Literal["csv", "tsv", "jsonl", "parquet", "fasta", "ts", "conll", "conllu"]
TaskName = Literal["classification", "tagging"]
SchemeName = Literal["iob1", "iob2", "bioes"]

TOKENIZERS = ("words", "characters", "nucleotides", "kmers(K)", "amino-acids", "events", "numeric")
NONE = "none"  # TOML has no null: how a config says that a key is switched off


class Table(BaseModel):
    """A table of the config: frozen, strict about types, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _none_is_null(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {key: None if value == NONE and _is_optional(cls, key) else value for key, value in values.items()}


def _is_optional(table: type[BaseModel], key: str) -> bool:
    field = table.model_fields.get(key)
    return field is not None and type(None) in get_args(field.annotation)


class DataConfig(Table):
    """Where the sequences come from, how they are split, and how they become tokens."""

    name: str | None = Field(None, description="a named data set (`ostinato data list`)")
    path: str | None = Field(None, description="a data file; with `validation_path` and `test_path`, the training file")
    validation_path: str | None = Field(None, description="a file with the validation rows")
    test_path: str | None = Field(None, description="a file with the test rows")
    format: FormatName | None = Field(None, description="the files' format; none: told by the file's ending")

    text_column: str = Field("text", description="the column that holds the sequence")
    label_column: str = Field("label", description="the column that holds the label")
    split_column: str | None = Field(None, description="a column that says train, validation or test")
    group_column: str | None = Field(None, description="rows of one group stay in one split")
    label_pattern: str | None = Field(
        None, description="FASTA: a regular expression whose group 1 is the label in the header"
    )
    label_table: str | None = Field(None, description="FASTA: a CSV or TSV file with the columns `id` and `label`")
    word_column: str | None = Field(
        None, description="tagging: the words' column, by index from 0 or by name; none: the first, in JSONL `tokens`"
    )
    tag_column: str | None = Field(
        None,
        description="tagging: the tags' column, by index (negative: from the end) or by name; none: the last, in JSONL `tags`",
    )
    feature_columns: list[str] | None = Field(
        None,
        description="tagging: columns read as features beside the words, as parts of speech, by index or by name; several also as 1+2",
    )
    scheme: SchemeName | Literal["plain"] | None = Field(
        None, description="tagging: how the files' tags mark entities; plain: they mark none; none: told by the tags"
    )

    train_size: int | float | None = Field(
        None, description="rows (a whole number) or share (below 1); none: all that the other splits leave"
    )
    validation_size: int | float = Field(0.1, description="rows or share; 0: no validation split")
    test_size: int | float = Field(0.2, description="rows or share; 0: no test split")
    train_fraction: float | None = Field(
        None, gt=0, le=1, description="train on this share of the training split alone, class by class"
    )
    folds: int | None = Field(
        None,
        ge=2,
        description="cut the rows into so many folds: `fold` is the test split, the others train and validate",
    )
    fold: int = Field(0, ge=0, description="which of the folds is the test split, from 0")
    length: int | list[int] | None = Field(
        None, description="generated sets: tokens in a sequence, or [shortest, longest]"
    )

    tokenizer: str | None = Field(
        None,
        description=f"one of {', '.join(TOKENIZERS)}; none: the named set's own; for a file by what it holds: "
        "`words` for text, `events` for lists, `numeric` for series, `nucleotides` for FASTA",
    )
    min_count: int = Field(1, ge=1, description="tokens seen less often in train are unknown")
    max_size: int | None = Field(
        None, ge=1, description="at most this many tokens in the vocabulary, the commonest first"
    )
    lowercase: bool = Field(
        False, description="tagging: words are looked up in lower case; characters and capitals stay as they are"
    )
    target_scheme: SchemeName | None = Field(
        None, description="tagging: the scheme that the model learns; none: the files' own"
    )
    vectors: str | None = Field(None, description="pretrained vectors of the tokens: glove-50d, or a file")
    vectors_beyond: int = Field(
        50_000,
        ge=0,
        description="with vectors: so many more of the file's words are known to the model, though training never met them",
    )
    vectors_on_fault: Literal["refuse", "skip"] = Field(
        "refuse", description="what happens to a faulty line of the vectors' file"
    )
    max_length: int | None = Field(None, ge=1, description="longer sequences are cut to this many tokens")
    truncate: Literal["head", "tail", "both"] = Field(
        "head", description="the part that is kept of a sequence longer than max_length"
    )

    empty: Literal["drop", "refuse"] = Field("drop", description="what happens to training sequences of length 0")
    skip_unlabelled: bool = Field(False, description="leave out rows without a label instead of refusing the file")
    seed: int = Field(0, ge=0, lt=2**63, description="draws generated data and splits")

    @field_validator("tokenizer")
    @classmethod
    def _known_tokenizer(cls, name: str | None) -> str | None:
        if (
            name is None
            or (name in TOKENIZERS and name != "kmers(K)")
            or re.fullmatch(r"kmers\(([1-9]|1[0-3])\)", name)
        ):
            return name
        raise ValueError(
            f"unknown tokenizer {name!r}. {suggest(name, TOKENIZERS)}Choose from: {', '.join(TOKENIZERS)}, with 1 to 13 for K"
        )

    @field_validator("word_column", "tag_column", mode="before")
    @classmethod
    def _column(cls, column: Any) -> Any:
        return str(column) if type(column) is int else column

    @field_validator("feature_columns", mode="before")
    @classmethod
    def _columns(cls, columns: Any) -> Any:
        if type(columns) in (str, int):
            return [column.strip() for column in re.split("[+,]", str(columns))]
        return [cls._column(column) for column in columns] if isinstance(columns, list) else columns

    @field_validator("feature_columns")
    @classmethod
    def _each_column_once(cls, columns: list[str] | None) -> list[str] | None:
        if columns is not None and not all(columns or [""]):
            raise ValueError(f"{columns} names no column. Name some, or none")
        if columns is not None and len(set(columns)) < len(columns):
            raise ValueError(f"{'+'.join(columns)} names a column twice. Name each once")
        return columns

    @field_validator("train_size", "validation_size", "test_size")
    @classmethod
    def _rows_or_share(cls, size: int | float | None) -> int | float | None:
        if size is not None and (size < 0 or (isinstance(size, float) and not size < 1)):
            raise ValueError(f"{size} is neither a number of rows (0, 1, 2, …) nor a share (from 0 to below 1, as 0.2)")
        return size

    @field_validator("length")
    @classmethod
    def _length_or_range(cls, length: int | list[int] | None) -> int | list[int] | None:
        ends = [length, length] if isinstance(length, int) else length
        if ends is not None and not (len(ends) == 2 and 1 <= ends[0] <= ends[1]):
            raise ValueError(f"{length} is neither a length (20) nor a range [shortest, longest] ([10, 40])")
        return length

    @model_validator(mode="after")
    def _one_source(self) -> "DataConfig":
        if self.fold >= (self.folds or 1):
            raise ValueError(f"fold {self.fold} is none of {self.folds or 0} folds. Count from 0, and set folds")
        if (self.name is None) == (self.path is None):
            raise ValueError("give either name (a named data set) or path (a file), not both and not neither")
        return self


class ModelConfig(Table):
    """The layers from token to label."""

    cell: CellName = Field("lstm", description="the recurrence")
    nonlinearity: Literal["tanh", "relu"] = Field("tanh", description="cell rnn: the activation")
    embedding_size: int = Field(
        64,
        ge=1,
        le=65_536,
        description="size of a token's vector (numeric series: of a linear projection of the channels)",
    )
    position: Literal["learned", "sinusoidal"] | None = Field(
        None, description="position embeddings, for windows aligned on a site"
    )
    hidden_size: int = Field(64, ge=1, le=65_536, description="size of the state, a direction; cell cnn: channels")
    num_layers: int = Field(1, ge=1, le=1000, description="layers in the stack")
    bidirectional: bool = Field(
        False,
        description="read each sequence in both directions; windows of convolutions are centred, else they end with their step",
    )
    conv_size: int | None = Field(
        None, ge=1, le=65_536, description="channels of a convolution before the recurrent layers; none: no convolution"
    )
    kernel_size: int = Field(
        5,
        ge=1,
        le=10_000,
        description="steps in a window of a convolution (cell cnn, or conv_size); odd where it is centred",
    )
    conv_pool: int = Field(
        1,
        ge=1,
        le=10_000,
        description="with conv_size: the largest of so many steps makes one step of the recurrent layers",
    )
    residual: bool = Field(False, description="add each layer's input to its output, from the second layer on")
    layer_norm: bool = Field(False, description="normalise each layer's output")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="variational, on each layer's input; plain on the pooled vector"
    )
    pooling: list[PoolingName] = Field(
        ["last"],
        min_length=1,
        validate_default=True,
        description="steps to one vector; several are joined, also written as mean+max",
    )
    head: Literal["softmax", "crf"] = Field(
        "softmax", description="tagging: each tag by itself, or a linear-chain CRF over the sequence"
    )
    constrained: bool = Field(
        False, description="with head crf: sequences of tags that the scheme forbids have no probability"
    )
    character_cell: Literal["lstm", "cnn"] | None = Field(
        None, description="tagging: what reads the characters of each word; none: nothing does"
    )
    character_embedding_size: int = Field(25, ge=1, le=65_536, description="size of a character's vector")
    character_size: int = Field(
        25, ge=1, le=65_536, description="size of the characters' state, a direction; cnn: channels"
    )
    capitals_size: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="tagging: size of a vector for a word's pattern of capitals and digits; none: no such vector",
    )
    feature_size: int = Field(
        25, ge=1, le=65_536, description="tagging: size of a vector for each of data.feature_columns"
    )
    word_dropout: float = Field(
        0.0, ge=0, lt=1, description="tagging: the share of words that training shows as unknown"
    )
    engine: EngineName = Field("auto", description="how the layers are executed")

    @field_validator("constrained")
    @classmethod
    def _chain(cls, constrained: bool, model: ValidationInfo) -> bool:
        if constrained and model.data.get("head") == "softmax":
            raise ValueError("true constrains the transitions of a CRF, and head softmax has none. Give head crf")
        return constrained

    @field_validator("pooling")
    @classmethod
    def _each_once(cls, pooling: list[str]) -> list[str]:
        if len(set(pooling)) < len(pooling):
            raise ValueError(f"{pooling} names a pooling twice. Name each once")
        return pooling

    @field_validator("pooling")
    @classmethod
    def _whole_sequence(cls, pooling: list[str], model: ValidationInfo) -> list[str]:
        if pooling == ["last"] and model.data.get("cell") == "cnn":
            reason = "last would show cell cnn the end of the sequence alone, as far as its windows reach"
            raise ValueError(f"{reason}. Give mean, max or attention; for tagging, a recurrent cell")
        return pooling

    @field_validator("pooling", mode="before")
    @classmethod
    def _one_is_a_list(cls, pooling: Any) -> Any:
        return pooling.split("+") if isinstance(pooling, str) else pooling

    @field_validator("conv_size")
    @classmethod
    def _before_recurrent_layers(cls, conv_size: int | None, model: ValidationInfo) -> int | None:
        if conv_size is not None and model.data.get("cell") == "cnn":
            raise ValueError(
                f"{conv_size} puts a convolution before recurrent layers, and cell cnn has none. Use num_layers and hidden_size instead"
            )
        return conv_size

    @field_validator("kernel_size")
    @classmethod
    def _has_a_middle(cls, kernel_size: int, model: ValidationInfo) -> int:
        is_used = model.data.get("cell") == "cnn" or model.data.get("conv_size") is not None
        if is_used and model.data.get("bidirectional") and kernel_size % 2 == 0:
            raise ValueError(
                f"{kernel_size} has no step in its middle. Give an odd number, or bidirectional = false for windows that end with their step"
            )
        return kernel_size

    @field_validator("conv_pool")
    @classmethod
    def _after_a_convolution(cls, conv_pool: int, model: ValidationInfo) -> int:
        if conv_pool > 1 and model.data.get("conv_size", 0) is None:
            raise ValueError(
                f"{conv_pool} pools what a convolution gives, and there is none. Give conv_size, or leave conv_pool at 1"
            )
        return conv_pool

    @field_validator("engine")
    @classmethod
    def _serves_the_cell(cls, engine: str, model: ValidationInfo) -> str:
        if model.data.get("cell") == "cnn" and engine in ("reference", "native"):
            raise ValueError(f"{engine} runs recurrent layers, and cell cnn has none. Give auto or torch")
        return engine


class TrainingConfig(Table):
    """How the weights are found."""

    max_epochs: int = Field(20, ge=1)
    batch_size: int = Field(32, ge=1, description="sequences in a batch")
    max_tokens: int | None = Field(
        None, ge=1, description="batches of about this many tokens instead of batch_size sequences"
    )
    accumulate: int = Field(1, ge=1, description="batches to one optimizer step")
    lr: float = Field(1e-3, gt=0, description="AdamW's learning rate at its peak")
    weight_decay: float = Field(
        0.01, ge=0, description="of weight matrices; the tokens' vectors, biases and norms have none"
    )
    schedule: Literal["cosine", "constant"] = Field("cosine", description="the learning rate after the warm-up")
    warmup: float = Field(0.05, ge=0, lt=1, description="share of all steps in which the learning rate rises")
    clip_norm: float | None = Field(1.0, gt=0, description="the gradient's largest norm")
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weight: Literal["balanced"] | dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        None, description="weight of each class in the loss"
    )
    freeze_vectors: Literal["never", "always"] | int = Field(
        "never", description="data.vectors stay as they are: never, always, or for so many epochs"
    )
    monitor: Literal["loss", "accuracy", "macro_f1", "f1"] = Field(
        "loss", description="the validation metric that picks the best epoch; f1: of entities"
    )
    patience: int | None = Field(
        5, ge=1, description="epochs without improvement before stopping; none: train to the end"
    )
    ema_decay: float | None = Field(None, gt=0, lt=1, description="average the weights over steps, and use the average")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 on GPUs that have it")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, …")
    checkpoint_every_s: float = Field(60.0, gt=0, description="seconds between checkpoints within an epoch")
    seed: int = Field(0, ge=0, lt=2**63, description="draws weights, order and dropout")

    @field_validator("freeze_vectors")
    @classmethod
    def _epochs(cls, frozen: str | int) -> str | int:
        if isinstance(frozen, int) and frozen < 0:
            raise ValueError(f"{frozen} is no number of epochs. Give never, always, or 1, 2, …")
        return frozen


# The keys that a task has no use for, and what it can monitor.
OF_OTHER_TASKS = {
    "classification": [
        "data.word_column",
        "data.tag_column",
        "data.feature_columns",
        "data.scheme",
        "data.target_scheme",
        "data.lowercase",
        "model.head",
        "model.constrained",
        "model.character_cell",
        "model.character_embedding_size",
        "model.character_size",
        "model.capitals_size",
        "model.feature_size",
        "model.word_dropout",
    ],
    "tagging": [
        "data.text_column",
        "data.label_column",
        "data.group_column",
        "data.split_column",
        "data.label_pattern",
        "data.label_table",
        "data.length",
        "data.tokenizer",
        "data.folds",
        "data.fold",
        "data.max_length",
        "data.truncate",
        "model.pooling",
        "model.position",
        "model.conv_size",
        "model.conv_pool",
        "model.kernel_size",
        "training.class_weight",
        "training.label_smoothing",
    ],
}
MONITORS = {"classification": ("loss", "accuracy", "macro_f1"), "tagging": ("loss", "accuracy", "f1")}


def _is_set(table: Table, key: str) -> bool:
    """Whether a key has another value than by default."""
    return bool(getattr(table, key) != type(table).model_fields[key].default)


class Range(Table):
    """Where `ostinato tune` looks for a number; whole numbers where both ends are."""

    low: int | float
    high: int | float
    log: bool = Field(False, description="spread evenly over the logarithm")


class Config(Table):
    """A complete, re-runnable description of one training; `search` is for `ostinato tune` alone."""

    task: TaskName = "classification"
    data: DataConfig
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    search: dict[str, Range | list[Any]] | None = Field(
        None, description='for `ostinato tune`: a range or choices for each "table.key"'
    )

    @model_validator(mode="after")
    def _keys_of_the_task(self) -> "Config":
        """Refuse what the task has no use for, all at once."""
        idle = [
            key
            for key in OF_OTHER_TASKS[self.task]
            if _is_set(getattr(self, key.partition(".")[0]), key.partition(".")[2])
        ]
        if idle:
            raise ValueError(
                f"{', '.join(idle)}: of no use for task {self.task}. Remove {'it' if len(idle) == 1 else 'them'}"
            )
        allowed = MONITORS[self.task]
        if self.training.monitor not in allowed:
            raise ValueError(
                f"training.monitor {self.training.monitor}: task {self.task} has none. Choose from: {', '.join(allowed)}"
            )
        if self.training.freeze_vectors != "never" and self.data.vectors is None:
            raise ValueError(
                f"training.freeze_vectors {self.training.freeze_vectors}: there are no vectors to freeze. Give data.vectors, or remove it"
            )
        if self.task == "tagging" and self.model.cell == "cnn":
            raise ValueError("model.cell cnn is for classification. Choose a recurrent cell")
        return self


def parse_config(values: Mapping[str, Any], source: str = "config") -> Config:
    """Check a nested mapping and make it a `Config`.

    Raises:
        ConfigError: keys are unknown, values of a wrong type or out of range; every fault at once, one a line.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        faults = "\n".join(f"{source}: {fault}" for fault in _describe(error))
        raise ConfigError(faults) from None


def read_config(path: Path) -> Config:
    """Read a TOML file.

    Raises:
        ConfigError: the file is missing, is not TOML, or holds faults (see `parse_config`).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no such file. Write one with: ostinato init PRESET > {path.name}"
        ) from None
    except (IsADirectoryError, PermissionError) as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Name a TOML file.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: {error}. Save it as UTF-8.") from None
    return parse_toml(text, str(path))


def parse_toml(text: str, source: str) -> Config:
    """Read a config from TOML text; `source` names it in messages.

    Raises:
        ConfigError: it is not TOML, or holds faults (see `parse_config`).
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not a TOML file: {error}. Mend that line.") from None
    return parse_config(values, source)


def to_toml(config: Config) -> str:
    """Write every key of `config` that its task has a use for, so that the file says all that the run depends on."""
    idle = OF_OTHER_TASKS[config.task]
    tables = {name: dict(_plain(name, getattr(config, name), idle)) for name in ("data", "model", "training")}
    return tomli_w.dumps({"task": config.task, **tables})


def _plain(name: str, table: BaseModel, idle: list[str]) -> Iterator[tuple[str, Any]]:
    for key, field in type(table).model_fields.items():
        if f"{name}.{key}" in idle:
            continue
        value = getattr(table, key)
        if value is not None:
            yield key, value
        elif field.default is not None:
            yield key, NONE


def override(config: Config, settings: Iterable[str]) -> Config:
    """Apply settings such as `model.cell=gru`; values are read as TOML, else as plain strings.

    Raises:
        ConfigError: a setting without `=`, or any fault that `parse_config` finds.
    """
    values = config.model_dump()
    for setting in settings:
        key, equals, text = setting.partition("=")
        table, _, name = key.strip().rpartition(".")
        if not equals or (table not in values if table else name != "task"):
            keys = [f"{table}.{name}" for table in ("data", "model", "training") for name in values[table]]
            raise ConfigError(
                f"--set {setting}: not of the form table.key=value. {suggest(key, keys)}Write for example: --set model.cell=gru"
            )
        (values[table] if table else values)[name] = toml_value(text.strip())
    if values["data"]["path"] is not None and any(setting.startswith("data.path=") for setting in settings):
        values["data"]["name"] = None
    return parse_config(values, "--set")


def toml_value(text: str) -> Any:
    """A value as TOML has it, or the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def json_schema() -> str:
    """The JSON Schema of the config, for editors and programs."""
    return json.dumps(Config.model_json_schema(), indent=2)


def _describe(error: ValidationError) -> Iterator[str]:
    """One plain sentence for each fault that pydantic found."""
    seen = set()
    for fault in error.errors():
        place = [str(part) for part in fault["loc"]]
        key = ".".join(place[:2])
        if key not in seen:  # a union of types reports one fault for each of its members
            seen.add(key)
            yield f"{key or 'config'}: {_sentence(place, fault, error.errors())}"


def _sentence(place: list[str], fault: ErrorDetails, faults: list[ErrorDetails]) -> str:
    kind, value, context = fault["type"], fault["input"], fault.get("ctx", {})
    if kind == "extra_forbidden":
        table = Config.model_fields[place[0]].annotation if len(place) > 1 else Config
        assert isinstance(table, type) and issubclass(table, BaseModel)
        return f"unknown key. {suggest(place[-1], table.model_fields)}Choose from: {', '.join(sorted(table.model_fields))}."
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", context["expected"])
        hint = suggest(value, choices) if isinstance(value, str) else ""
        return f"unknown value {value!r}. {hint}Choose from: {', '.join(sorted(choices))}."
    if kind == "missing":
        return "missing. Add this table: it says where the sequences come from."
    if kind == "value_error":
        return f"{context['error']}."
    expected = [
        str(each["msg"]).removeprefix("Input should be ") for each in faults if each["loc"][:2] == fault["loc"][:2]
    ]
    shown = "nan" if isinstance(value, float) and math.isnan(value) else json.dumps(value, default=str)
    return f"{shown} is not usable. Expected: {' or '.join(dict.fromkeys(expected))}."
