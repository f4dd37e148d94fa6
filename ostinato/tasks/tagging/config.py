"""What a config of a tagger says."""

import re
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from ostinato.config import Config, DataConfig, ModelConfig, TrainingConfig
from ostinato.config.names import RecurrentCellName

SchemeName = Literal["iob1", "iob2", "bioes"]


class TaggingData(DataConfig):
    """Sentences with one tag for each token."""

    OBSOLETE: ClassVar[tuple[str, ...]] = ("empty", "skip_unlabelled")

    word_column: str | None = Field(
        None, description="the words' column, by index from 0 or by name; none: the first, in JSONL `tokens`"
    )
    tag_column: str | None = Field(
        None,
        description="the tags' column, by index (negative: from the end) or by name; none: the last, in JSONL `tags`",
    )
    feature_columns: list[str] | None = Field(
        None,
        description="extra features of each token, such as parts of speech: columns by index or name, or 1+2",
    )
    scheme: SchemeName | Literal["plain"] | None = Field(
        None, description="how the files' tags mark entities; plain: they mark none; none: inferred from the tags"
    )
    lowercase: bool = Field(
        False, description="words are looked up in lower case; characters and word shapes keep their case"
    )
    target_scheme: SchemeName | None = Field(None, description="the scheme that the model learns; none: the files' own")

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
            raise ValueError(f"{columns} holds an empty name. Name columns, or give none")
        if columns is not None and len(set(columns)) < len(columns):
            raise ValueError(f"{'+'.join(columns)} names a column twice. Name each once")
        return columns


class TaggingModel(ModelConfig):
    """Vectors of words, characters, word shapes and features, recurrent layers, and a CRF."""

    cell: RecurrentCellName = Field("lstm", description="the recurrence")
    bidirectional: bool = Field(True, description="read in both directions")
    head: Literal["softmax", "crf"] = Field(
        "crf", description="each tag by itself, or a linear-chain CRF over the sequence"
    )
    constrained: bool = Field(False, description="with head crf: sequences that the scheme forbids have probability 0")
    character_cell: Literal["lstm", "cnn"] | None = Field(
        None, description="what reads the characters of each word; none: nothing"
    )
    character_embedding_size: int = Field(25, ge=1, le=65_536, description="size of a character's vector")
    character_size: int = Field(
        25, ge=1, le=65_536, description="size of the characters' state in each direction; cnn: channels"
    )
    word_shape_size: int | None = Field(
        None, ge=1, le=65_536, description="size of a vector for a word's pattern of capitals and digits; none: off"
    )
    feature_size: int = Field(25, ge=1, le=65_536, description="size of a vector for each of data.feature_columns")
    word_dropout: float = Field(
        0.0, ge=0, lt=1, description="the share of words that training replaces by the unknown word"
    )

    @field_validator("constrained")
    @classmethod
    def _needs_a_crf(cls, constrained: bool, model: ValidationInfo) -> bool:
        if constrained and model.data.get("head") == "softmax":
            raise ValueError("true constrains the transitions of a CRF, and head softmax has none. Give head crf")
        return constrained


class TaggingTraining(TrainingConfig):
    """Training by the likelihood of the tags."""

    monitor: Literal["loss", "accuracy", "f1"] = Field(
        "loss", description="the validation metric that picks the best epoch; f1: of entities"
    )


class TaggingConfig(Config):
    """A tagger: one tag for each token."""

    task: Literal["tagging"] = "tagging"
    data: TaggingData
    model: TaggingModel = TaggingModel()
    training: TaggingTraining = TaggingTraining()
