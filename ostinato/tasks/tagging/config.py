"""The config of tagging."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ostinato.config import AUTO, Config, DataConfig, ModelConfig, OrAuto, TrainingConfig
from ostinato.config.names import TaggerCellName

SchemeName = Literal["iob1", "iob2", "bioes", "bilou"]


class TaggingData(DataConfig):
    """Sentences with one tag per token."""

    OBSOLETE: ClassVar[tuple[str, ...]] = ("empty", "skip_unlabelled")
    OLD_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        **DataConfig.OLD_DEFAULTS,
        "lowercase": False,
        "target_scheme": None,
    }

    word_column: str | None = Field(
        None, description="the column of words, by index from 0 or by name; none: the first, in JSONL `tokens`"
    )
    tag_column: str | None = Field(
        None,
        description="the column of tags, by index (negative: from the end) or by name; none: the last, in JSONL `tags`",
    )
    feature_columns: list[str] | None = Field(
        None,
        description="columns with extra features per token, such as parts of speech; by index or name, or as 1+2",
    )
    scheme: SchemeName | Literal["plain"] | None = Field(
        None,
        description="the scheme by which the tags mark entities; plain: they mark none; none: inferred from the tags",
    )
    repair_tags: bool = Field(
        False,
        description="repair tags that the scheme does not allow, such as I- after O, instead of refusing the file",
    )
    lowercase: OrAuto[bool] = Field(
        AUTO, description="look words up in lower case; characters and word shapes still depend on case"
    )
    target_scheme: OrAuto[SchemeName | None] = Field(
        AUTO, description="the scheme that the model learns; none: the scheme of the data"
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
            raise ValueError(f"{columns} contains an empty name. Name at least one column, or remove the key")
        if columns is not None and len(set(columns)) < len(columns):
            raise ValueError(f"{'+'.join(columns)} names a column twice. Name each column once")
        return columns


class TaggingModel(ModelConfig):
    """Vectors of words, characters, word shapes and features, recurrent layers, and a CRF."""

    OLD_DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "hidden_size": 64,
        "dropout": 0.0,
        "head": "crf",
        "constrained": False,
        "character_cell": None,
        "word_shape_size": None,
    }

    cell: TaggerCellName = Field("lstm", description="the recurrence; none: a linear model, the wide part alone")
    hidden_size: int = Field(100, ge=1, le=65_536, description="size of the state per direction")
    bidirectional: bool = Field(True, description="read in both directions")
    dropout: float = Field(
        0.5, ge=0, lt=1, description="variational, on each layer's input; ordinary, before the output layer"
    )
    head: OrAuto[Literal["softmax", "crf"]] = Field(
        AUTO, description="softmax: each tag is predicted independently; crf: a linear-chain CRF over the sequence"
    )
    constrained: OrAuto[bool] = Field(
        AUTO, description="with head crf: sequences that the scheme forbids have probability 0"
    )
    character_cell: Literal["lstm", "cnn"] | None = Field(
        "cnn", description="the layer that reads the characters of each word; none: characters are not read"
    )
    character_embedding_size: int = Field(25, ge=1, le=65_536, description="size of a character's embedding")
    character_size: int = Field(
        25, ge=1, le=65_536, description="lstm: state size per direction of the character layer; cnn: channels"
    )
    word_shape_size: int | None = Field(
        8,
        ge=1,
        le=65_536,
        description="embedding size of word shapes, the patterns of capitals and digits; none: off",
    )
    feature_size: int = Field(25, ge=1, le=65_536, description="embedding size of each of data.feature_columns")

    wide: Literal["features"] | None = Field(
        None,
        description="a linear model beside the recurrent layers, fitted before training: of words, affixes, word "
        "shapes and feature columns of each token and its neighbours; needs head crf",
    )

    @field_validator("constrained")
    @classmethod
    def _needs_a_crf(cls, constrained: bool, model: ValidationInfo) -> bool:
        if constrained is True and model.data.get("head") == "softmax":
            raise ValueError("true constrains the transitions of a CRF, but head softmax has none. Set head to crf")
        return constrained

    @model_validator(mode="after")
    def _linear_model_is_a_crf_with_features(self) -> "TaggingModel":
        if self.cell == "none" and self.wide is None:
            raise ValueError("cell none is a linear model, and there are no features for it. Set wide = features")
        if self.wide is not None and self.head == "softmax":
            raise ValueError(f"wide {self.wide} is fitted as a CRF, and the head is softmax. Set head = crf")
        return self


class TaggingTraining(TrainingConfig):
    """Training with the negative log-likelihood of the tags."""

    OLD_DEFAULTS: ClassVar[Mapping[str, Any]] = {**TrainingConfig.OLD_DEFAULTS, "monitor": "loss"}

    monitor: OrAuto[Literal["loss", "accuracy", "f1"]] = Field(
        AUTO, description="the validation metric that picks the best epoch; f1: of entities"
    )


class TaggingConfig(Config):
    """A tagger: one tag per token."""

    task: Literal["tagging"] = "tagging"
    data: TaggingData
    model: TaggingModel = TaggingModel()
    training: TaggingTraining = TaggingTraining()

    @model_validator(mode="after")
    def _compares_tags(self) -> "TaggingConfig":
        for key, value in (("r_drop", self.training.r_drop), ("adversarial", self.training.adversarial)):
            if self.model.head == "crf" and value and value != "supervised":
                raise ValueError(
                    f"training.{key} {value} compares the tags' probabilities at each token, and head crf gives those "
                    "of whole sequences. Set model.head = softmax"
                )
        return self
