"""The config of classification."""

from typing import Annotated, Literal

from pydantic import Field

from ostinato.config import SemiConfig, SemiTraining, SequenceModel, UnlabelledData


class ClassificationData(UnlabelledData):
    """Sequences with one label each."""

    label_column: str = Field("label", description="the column that holds the label")


class ClassificationTraining(SemiTraining):
    """Training with the cross-entropy loss."""

    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weight: Literal["balanced"] | dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        None, description="weight of each class in the loss; none: 1"
    )
    monitor: Literal["loss", "accuracy", "macro_f1"] = Field(
        "loss", description="the validation metric that picks the best epoch"
    )
    calibrate: bool = Field(True, description="fit a temperature on the validation split")


class ClassificationConfig(SemiConfig):
    """A classifier: one label per sequence."""

    task: Literal["classification"] = "classification"
    data: ClassificationData
    model: SequenceModel = SequenceModel()
    training: ClassificationTraining = ClassificationTraining()
