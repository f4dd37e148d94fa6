"""The config of a pre-training: the tables of every config, with the keys that make sense without labels."""

import glob
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ostinato.config import Config, ModelConfig, Table, TrainingConfig, reading
from ostinato.config.names import FormatName, RecurrentCellName, TokenizerName
from ostinato.config.tables import AUTO, FROM_FILE, OrAuto, Positive
from ostinato.errors import ConfigError, DataError
from ostinato.tasks.config import CONFIGS
from ostinato.tasks.init import with_encoder

KIND = "pretraining"  # what the key `task` of these configs says
NEXT_STEP = "next-step"  # the objective that trains recurrent layers; the others train token vectors alone

OF_LAYERS = (  # keys of [model] that only layers have
    "cell",
    "nonlinearity",
    "hidden_size",
    "num_layers",
    "bidirectional",
    "residual",
    "layer_norm",
    "dropout",
    "weight_dropout",
    "word_dropout",
    "engine",
)


class PretrainingData(Table):
    """Where the sequences come from, and how they are encoded."""

    vectors: ClassVar[None] = None  # the shared checks of a config ask for them

    name: str | None = Field(None, description="a named data set (`ostinato data list`), without its labels")
    path: list[str] | None = Field(
        None, min_length=1, description="data files; `*` and `**` match names of files and folders"
    )
    format: FormatName | None = Field(
        None, description="the files' format; none: by the ending, where .txt has one sequence per line"
    )
    text_column: str = Field("text", description="the column that holds the sequence")
    exclude: list[str] | None = Field(
        None,
        min_length=1,
        description="the preset or config of the task that the encoder is for, or several: rows equal to one of their "
        "validation or test rows are left out",
    )
    validation_size: int | float = Field(
        0.05, gt=0, description="held-out sequences, as a number or a share, of at most 50,000 tokens together"
    )
    tokenizer: TokenizerName | None = Field(
        None, description="as in a task; none: chosen from the sequences, as in a task"
    )
    min_count: int = Field(2, ge=1, description="rarer tokens are out of vocabulary")
    max_size: int | None = Field(20_000, ge=1, description="at most this many tokens in the vocabulary, by frequency")
    scale: Literal["channel", "series"] = Field(
        "channel", description="numeric series: standardise each channel over all series, or each series by itself"
    )
    chunk_length: int = Field(400, ge=2, description="longer sequences are split into pieces of about equal length")
    seed: int = Field(0, ge=0, lt=2**63, description="draws the held-out sequences")

    @field_validator("path", "exclude", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("validation_size")
    @classmethod
    def _rows_or_share(cls, size: int | float) -> int | float:
        if isinstance(size, float) and not size < 1:
            raise ValueError(f"{size} is neither a number of sequences (1, 2, …) nor a share below 1, as 0.05")
        return size

    @model_validator(mode="after")
    def _one_source(self, info: ValidationInfo) -> "PretrainingData":
        is_missing = self.name is None and self.path is None and bool((info.context or {}).get(FROM_FILE))
        if is_missing or (self.name is not None and self.path is not None):
            raise ValueError("give exactly one of name (a named data set) and path (files)")
        return self

    def files(self) -> list[Path]:
        """The files that `path` stands for, each once, in the order of the patterns and sorted within each.

        Raises:
            DataError: a pattern matches nothing.
        """
        found: dict[Path, None] = {}
        for pattern in self.path or ():
            matches = sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else [pattern]
            if not matches:
                raise DataError(f"{pattern}: matches no file. Check the pattern; it starts at {Path.cwd()}.")
            found |= dict.fromkeys(map(Path, matches))
        return list(found)


class PretrainingModel(ModelConfig):
    """An embedding and recurrent layers, as a task takes them over with `model.init`."""

    OLD_DEFAULTS: ClassVar[Mapping[str, Any]] = {}

    cell: RecurrentCellName = Field("lstm", description="the recurrence")
    embedding_size: int = Field(256, ge=1, le=65_536, description="size of a token's vector")
    hidden_size: int = Field(256, ge=1, le=65_536, description="size of the state per direction")
    bidirectional: bool = Field(
        True, description="also predict the previous step from what follows; false: for models that stream"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="variational, on each layer's input")
    word_dropout: float = Field(
        0.1, ge=0, lt=1, description="share of tokens that training replaces with the unknown token in the input"
    )

    @field_validator("embedding_dropout")
    @classmethod
    def _shares_its_table(cls, dropout: float) -> float:
        if dropout:
            raise ValueError(f"{dropout:g}: the output layer reads the same vectors. Set word_dropout instead")
        return dropout

    @field_validator("layer_norm")
    @classmethod
    def _keeps_directions_apart(cls, layer_norm: bool, model: ValidationInfo) -> bool:
        if layer_norm and model.data.get("bidirectional"):
            raise ValueError(
                "true mixes the two directions, and each would see the step that it predicts. Set layer_norm = false, "
                "or cell = lnlstm"
            )
        return layer_norm


class PretrainingTraining(TrainingConfig):
    """Training to predict steps from those around them."""

    OLD_DEFAULTS: ClassVar[Mapping[str, Any]] = {}

    objective: Literal["next-step", "two-view", "skip-gram"] = Field(
        "next-step",
        description="next-step: embedding and layers, from the next and the previous step; two-view, skip-gram: the "
        "embedding alone, from the tokens around",
    )
    window: int = Field(
        5, ge=1, le=100, description="skip-gram: tokens that are predicted on each side; two-view: tokens in a region"
    )
    max_epochs: int = Field(3, ge=1)
    batch_size: int = Field(32, ge=1, description="without max_tokens: pieces of sequences in a batch")
    max_tokens: int | None = Field(
        4096, ge=1, description="batches of about this many tokens instead of batch_size rows"
    )
    lr: float = Field(3e-3, gt=0, description="AdamW's learning rate at its peak")
    negatives: OrAuto[Positive | None] = Field(
        AUTO,
        description="tokens drawn per batch, in place of a vocabulary at least twice as large; auto: 1024, or 256 for "
        "two-view and skip-gram; none: the whole vocabulary",
    )
    monitor: Literal["loss"] = Field("loss", description="the held-out metric that picks the best epoch")
    patience: int | None = Field(
        None, ge=1, description="epochs without improvement before stopping; none: train to the end"
    )

    @model_validator(mode="after")
    def _has_no_answers_to_compare(self) -> "PretrainingTraining":
        for key in ("r_drop", "adversarial"):
            if getattr(self, key):
                raise ValueError(f"{key} {getattr(self, key)} needs the answers of a task. Remove it")
        return self

    @model_validator(mode="after")
    def _has_a_window(self) -> "PretrainingTraining":
        if self.objective == NEXT_STEP and self.window != type(self).model_fields["window"].default:
            raise ValueError(
                f"window {self.window} has no effect with objective {NEXT_STEP}. Remove it, or set objective to "
                "skip-gram or two-view"
            )
        return self

    @property
    def shortest(self) -> int:
        """Steps of the shortest sequence that has something to predict."""
        return self.window // 2 + 2 if self.objective == "two-view" else 2

    @property
    def num_negatives(self) -> int | None:
        """Tokens drawn per batch."""
        if self.negatives == AUTO:
            return 1024 if self.objective == NEXT_STEP else 256
        return self.negatives


class PretrainingConfig(Config):
    """A pre-training on sequences without labels."""

    task: Literal["pretraining"] = "pretraining"
    data: PretrainingData  # type: ignore[assignment]  # it has no splits, labels or vectors
    model: PretrainingModel = PretrainingModel()
    training: PretrainingTraining = PretrainingTraining()

    @model_validator(mode="after")
    def _has_layers_to_set(self) -> "PretrainingConfig":
        objective, model = self.training.objective, self.model
        given = [key for key in OF_LAYERS if getattr(model, key) != PretrainingModel.model_fields[key].default]
        if given and objective != NEXT_STEP:
            shown = ", ".join(f"model.{key} {getattr(model, key)}" for key in given)
            raise ValueError(
                f"{shown}: objective {objective} trains token vectors alone, without layers. Remove "
                f"{'this key' if len(given) == 1 else 'these keys'}, or set training.objective to {NEXT_STEP}"
            )
        return self


def parse_config(
    values: Mapping[str, Any], source: str = "config", *, needs_data: bool = True, is_old: bool = False
) -> PretrainingConfig:
    """Build a checked config from a nested mapping; `task` may be left out.

    Args:
        source: names the mapping in messages.
        needs_data: whether it must name its data.
        is_old: a run wrote it, so it is complete.

    Raises:
        ConfigError: every problem, one per line.
    """
    if values.get("task", KIND) in CONFIGS:
        raise ConfigError(
            f"{source}: this is a config of task {values['task']}, and a pre-training has its own. Name the files with "
            f"the sequences instead: ostinato pretrain FILE … --set data.exclude={source}"
        )
    union = {KIND: PretrainingConfig}
    config = reading.parse(union, {"task": KIND, **values}, source, needs_data=needs_data, is_old=is_old)
    assert isinstance(config, PretrainingConfig)
    return config if is_old else with_encoder(config, source)


def read_config(path: Path) -> PretrainingConfig:
    """Read a TOML file.

    Raises:
        ConfigError: the file is missing, is not TOML, or has problems.
    """
    return parse_config(reading.read_toml(path), str(path))


def read_own_config(folder: Path) -> PretrainingConfig:
    """Read the config in a folder of `ostinato pretrain`.

    Raises:
        ConfigError: see `read_config`.
    """
    path = folder / "config.toml"
    return parse_config(reading.read_toml(path), str(path), needs_data=False, is_old=True)


def override(config: PretrainingConfig, settings: Iterable[str]) -> PretrainingConfig:
    """Apply settings such as `model.cell=gru`.

    Raises:
        ConfigError: a setting has no `=`, or any problem that `parse_config` finds.
    """
    return parse_config(reading.with_settings(config, settings), "--set")


def from_settings(settings: Mapping[str, Any]) -> PretrainingConfig:
    """The config of keys without their tables; `seed` is that of the data and of the training.

    Raises:
        ConfigError: a key is unknown, or a value cannot be used; every problem at once.
    """
    tables: dict[str, dict[str, Any]] = {table: {} for table in Config.TABLES}
    known = {name: PretrainingConfig.model_fields[name].annotation.model_fields for name in Config.TABLES}  # type: ignore[union-attr]
    for key, value in settings.items():
        owners = [table for table, fields in known.items() if key in fields]
        if not owners:
            raise ConfigError(f"{key} is not a setting of a pre-training. See docs/pretraining.md for those it has.")
        for table in owners:
            tables[table][key] = value
    return parse_config(tables, "pretrain", needs_data=False)
