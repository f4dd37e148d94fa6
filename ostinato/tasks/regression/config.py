"""What a config of a regression says."""

from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from ostinato.config import Config, SequenceData, SequenceModel, TrainingConfig

QUANTILES = (0.1, 0.5, 0.9)


class RegressionData(SequenceData):
    """Sequences with one or more numbers each."""

    target_columns: list[str] | None = Field(
        None,
        min_length=1,
        description="the columns that hold the numbers; none: `target`, or `label` where there is no `target`",
    )

    @field_validator("target_columns", mode="before")
    @classmethod
    def _one_is_a_list(cls, columns: Any) -> Any:
        return [columns] if isinstance(columns, str) else columns

    @field_validator("target_columns")
    @classmethod
    def _each_once(cls, columns: list[str] | None) -> list[str] | None:
        if columns is not None and len(set(columns)) < len(columns):
            raise ValueError(f"{columns} names a column twice. Name each once")
        return columns


class RegressionModel(SequenceModel):
    """The model of a regression."""

    dropout: float = Field(
        0.1, ge=0, lt=1, description="variational, on each layer's input; ordinary, before the output layer"
    )  # more makes numbers vague


class RegressionTraining(TrainingConfig):
    """Training by the error of the predicted numbers, each target scaled to mean 0 and standard deviation 1."""

    LOWER_IS_BETTER: ClassVar[tuple[str, ...]] = ("loss", "rmse", "mae")

    loss: Literal["squared", "absolute", "huber", "quantile"] = Field(
        "squared", description="huber is squared up to an error of one standard deviation, and linear above"
    )
    quantiles: list[float] | None = Field(
        None,
        min_length=1,
        description="loss quantile: the quantiles to predict, as [0.1, 0.5, 0.9] (the default); the prediction is "
        "quantile 0.5, or the middle one",
    )
    monitor: Literal["loss", "rmse", "mae", "r2"] = Field(
        "loss", description="the validation metric that picks the best epoch"
    )

    @field_validator("quantiles")
    @classmethod
    def _increase(cls, quantiles: list[float] | None, training: ValidationInfo) -> list[float] | None:
        if quantiles is None:
            return None
        if training.data.get("loss", "quantile") != "quantile":
            raise ValueError(f"{quantiles} are not used by loss {training.data['loss']}. Set loss = quantile, or none")
        if not all(0 < low < high < 1 for low, high in zip([1e-9, *quantiles], [*quantiles, 1 - 1e-9], strict=True)):
            raise ValueError(f"{quantiles} do not increase from above 0 to below 1. Give for example [0.1, 0.5, 0.9]")
        if 0.5 not in quantiles and len(quantiles) % 2 == 0:
            raise ValueError(f"{quantiles} have no middle to predict. Add 0.5")
        return quantiles

    @property
    def levels(self) -> tuple[float, ...]:
        """The quantiles that the network predicts, in increasing order; empty unless the loss is `quantile`."""
        return tuple(self.quantiles or QUANTILES) if self.loss == "quantile" else ()


class RegressionConfig(Config):
    """A regression: one or more numbers for each sequence."""

    task: Literal["regression"] = "regression"
    data: RegressionData
    model: RegressionModel = RegressionModel()
    training: RegressionTraining = RegressionTraining()
