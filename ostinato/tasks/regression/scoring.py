"""The metrics of predicted numbers on a split, their baselines, and the predictions on disk."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from ostinato.data.examples import Records
from ostinato.evaluation.baselines import mean_baseline, median_baseline, ridge_baseline
from ostinato.evaluation.statistics import Scored, versus
from ostinato.progress import TimeLeft
from ostinato.tasks.records import Model, TaskData
from ostinato.tasks.regression.metrics import (
    REGRESSION_METRICS,
    RegressionMetrics,
    regression_metrics,
    score_regression,
)
from ostinato.tasks.sequences.baselines import fit_linear
from ostinato.tasks.sequences.predictions import read_columns, write_columns


class Predictions(NamedTuple):
    """The predictions for each row of a split.

    Args:
        sources: where each row came from.
        targets: (B, K), in their units.
        predictions: (B, K).
        levels: the Q quantiles; empty without any.
        quantiles: (B, K, Q).
    """

    sources: list[str]
    targets: np.ndarray
    predictions: np.ndarray
    levels: tuple[float, ...]
    quantiles: np.ndarray


def predictions_of(model: Model, rows: Records, outputs: Tensor) -> Predictions:
    """What a model answers to labelled rows, beside their targets."""
    network = model.network
    answers = network.answers(outputs)
    predicted, quantiles = (each.cpu().numpy() for each in (network.predictions(answers), network.quantiles(answers)))
    targets = model.codec.numbers(rows.targets, rows.sources)
    return Predictions(list(rows.sources), targets, predicted, network.levels, quantiles)


def score(model: Model, rows: Records, outputs: Tensor) -> RegressionMetrics:
    """Metrics in the targets' units, with bootstrap intervals."""
    found = predictions_of(model, rows, outputs)
    return regression_metrics(
        found.targets,
        found.predictions,
        names=model.codec.names,
        quantiles=found.levels or None,
        quantile_predictions=found.quantiles if found.levels else None,
    )


def score_baselines(
    data: TaskData, time_left: TimeLeft, trained: tuple[Model, Tensor] | None = None
) -> dict[str, RegressionMetrics]:
    """Score the baselines on the test split: ridge regression, and the training targets' mean and median.

    Args:
        trained: a model and its outputs for the test split: the RMSE of ridge regression is compared with it.
    """
    rows, codec = data.rows, data.codec
    targets = {name: codec.numbers(split.targets, split.sources) for name, split in rows.items()}
    ridge = fit_linear(
        ridge_baseline, data, targets, constant=partial(mean_baseline, targets["train"]), time_left=time_left
    )

    def measured(predictions: np.ndarray) -> RegressionMetrics:
        return regression_metrics(targets["test"], predictions, names=codec.names)

    constants: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {"mean": mean_baseline, "median": median_baseline}
    predicted, compared = ridge.predict(rows["test"].sequences), None
    if trained is not None:
        own = predictions_of(trained[0], rows["test"], trained[1]).predictions
        compared = versus(*(_rmse(targets["test"], each) for each in (own, predicted)))
    of_ridge = measured(predicted).model_copy(update={"description": ridge.description, "versus": compared})
    return {"ridge": of_ridge} | {
        name: measured(baseline(targets["train"], len(targets["test"]))) for name, baseline in constants.items()
    }


def _rmse(targets: np.ndarray, predictions: np.ndarray) -> Scored:
    return score_regression(targets, predictions[None], REGRESSION_METRICS["rmse"])


def write_predictions(path: Path, names: Sequence[str], found: Predictions) -> None:
    """Write the columns `source`, `target`, `prediction` and `quantile_0.1` and so on, as Parquet.

    Of several targets the columns end in the target's name: `target_length`, `prediction_length`.

    Raises:
        RunError: the file cannot be written.
    """
    columns: dict[str, np.ndarray] = {}
    for k, name in enumerate(names):
        columns |= dict(
            zip(
                _columns(name, names, found.levels),
                [found.targets[:, k], found.predictions[:, k], *found.quantiles[:, k].T],
                strict=True,
            )
        )
    write_columns(path, found.sources, columns)


def read_predictions(path: Path, names: Sequence[str], levels: tuple[float, ...]) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises:
        RunError: the file is missing or altered.
    """
    wanted = [_columns(name, names, levels) for name in names]
    sources, columns = read_columns(path, [column for each in wanted for column in each])
    values = np.array([[columns[column] for column in each] for each in wanted], dtype=np.float64)  # (K, 2 + Q, B)
    values = values.transpose(2, 0, 1)
    return Predictions(sources, values[:, :, 0], values[:, :, 1], levels, values[:, :, 2:])


def _columns(name: str, names: Sequence[str], levels: Sequence[float]) -> list[str]:
    """The columns of one target."""
    ending = f"_{name}" if len(names) > 1 else ""
    return [f"{what}{ending}" for what in ("target", "prediction", *(f"quantile_{level:g}" for level in levels))]
