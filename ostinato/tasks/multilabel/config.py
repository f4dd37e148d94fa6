"""What a config of a multilabel classification says."""

from typing import Literal

from pydantic import Field, field_validator

from ostinato.config import SemiConfig, SemiTraining, SequenceModel, UnlabelledData


class MultilabelData(UnlabelledData):
    """Sequences with any number of labels each."""

    label_column: str = Field(
        "labels", description="the column that holds a row's labels: text with separators, or a list; empty: no labels"
    )
    label_separator: str = Field("|", min_length=1, description="what separates the labels of a row in a text")
    label_columns: list[str] | None = Field(
        None, min_length=1, description="one column of 0 and 1 for each label, in place of label_column"
    )

    @field_validator("label_columns")
    @classmethod
    def _each_once(cls, columns: list[str] | None) -> list[str] | None:
        if columns is not None and len(set(columns)) < len(columns):
            raise ValueError(f"{columns} names a column twice. Name each once")
        return columns


class MultilabelTraining(SemiTraining):
    """Training by the binary cross-entropy of each label."""

    label_smoothing: float = Field(0.0, ge=0, lt=1, description="move each target this far from 0 or 1 towards 0.5")
    label_weight: Literal["balanced"] | None = Field(
        None, description="balanced: rows with a label weigh as much in its loss as rows without it"
    )
    monitor: Literal["loss", "micro_f1", "macro_f1"] = Field(
        "loss", description="the validation metric that picks the best epoch; F1 scores use thresholds of 0.5"
    )
    calibrate: bool = Field(True, description="fit a temperature for each label on the validation split")
    thresholds: Literal["f1", "half"] = Field(
        "f1",
        description="predict a label from this probability on: f1: the one with the highest F1 on the validation "
        "split, for labels that 10 of its rows or more have; half: 0.5",
    )


class MultilabelConfig(SemiConfig):
    """A multilabel classifier: any number of labels for each sequence."""

    task: Literal["multilabel"] = "multilabel"
    data: MultilabelData
    model: SequenceModel = SequenceModel()
    training: MultilabelTraining = MultilabelTraining()
