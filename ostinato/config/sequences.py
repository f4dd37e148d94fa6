"""The tables of tasks with one target per sequence: how sequences are cut and encoded, and pooled to one vector."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ostinato.config.names import SequenceCellName, TokenizerName
from ostinato.config.tables import AUTO, DataConfig, ModelConfig, OrAuto, Positive

PoolingName = Literal["last", "mean", "max", "attention"]


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
    stream: bool | None = Field(
        None,
        description="keep rows and tokens on disk, and read them as they are needed; the results are the same; none: "
        "if the files have more than 1 GiB together",
    )
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
