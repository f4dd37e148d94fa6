"""What tasks add to their config that can learn from rows without labels."""

import re
from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, model_validator

from ostinato.config.sequences import SequenceData
from ostinato.config.tables import FROM_FILE, Config, TrainingConfig


def is_set_name(unlabelled: str) -> bool:
    """Whether `data.unlabelled` names a data set rather than files: it has no ending, folder or pattern."""
    return re.fullmatch(r"[a-z][a-z0-9-]*", unlabelled) is not None


class UnlabelledData(SequenceData):
    """Data with rows that have no label."""

    PATHS: ClassVar[tuple[str, ...]] = (*SequenceData.PATHS, "unlabelled")

    unlabelled: str | None = Field(
        None,
        description="with training.semi: a file with sequences without labels, a pattern such as raw/*.csv, or a named "
        "data set",
    )

    def files(self) -> dict[str, str]:
        return {key: path for key, path in super().files().items() if key != "unlabelled" or not is_set_name(path)}


class SemiTraining(TrainingConfig):
    """Training that can use rows without a label."""

    semi: Literal["self-training"] | None = Field(
        None, description="self-training: a teacher labels data.unlabelled, and the model learns from all rows"
    )
    teacher: str | None = Field(
        None,
        description="with training.semi: a run whose model labels data.unlabelled; none: linear models of train",
    )
    confidence: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="with training.semi: rows of data.unlabelled are left out if the teacher gives their class, or its "
        "answer to one of the labels, a lower probability",
    )


class SemiConfig(Config):
    """The config of a task that can learn from rows without labels."""

    data: UnlabelledData
    training: SemiTraining

    @model_validator(mode="after")
    def _has_both_or_none(self, info: ValidationInfo) -> "SemiConfig":
        semi, unlabelled = self.training.semi, self.data.unlabelled
        if unlabelled is not None and semi is None:
            raise ValueError(
                f'data.unlabelled {unlabelled}: not used. Set training.semi = "self-training", or remove it'
            )
        for key in ("teacher", "confidence"):
            given = getattr(self.training, key)
            if semi is None and given:
                raise ValueError(f'training.{key} {given}: not used. Set training.semi = "self-training", or remove it')
        if semi is not None and unlabelled is None and (info.context or {}).get(FROM_FILE):
            raise ValueError(f"training.semi {semi}: there are no rows without labels. Set data.unlabelled")
        return self
