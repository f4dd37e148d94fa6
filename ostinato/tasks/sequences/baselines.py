"""The linear baseline: fitted on the same rows as the network, with features that suit the tokenizer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ostinato.errors import DataError
from ostinato.evaluation.baselines import LinearBaseline
from ostinato.progress import TimeLeft, unlimited
from ostinato.tasks.records import TaskData


@dataclass(frozen=True)
class ConstantBaseline:
    """What stands in for a linear baseline that cannot be fitted: the same prediction for every sequence."""

    description: str
    predict_many: Callable[[int], np.ndarray]

    def predict(self, sequences: Sequence[Any]) -> np.ndarray:
        return self.predict_many(len(sequences))


def fit_linear(
    fit: Callable[..., LinearBaseline],
    data: TaskData,
    targets: Mapping[str, np.ndarray],
    *,
    constant: Callable[[int], np.ndarray],
    time_left: TimeLeft = unlimited,
) -> LinearBaseline | ConstantBaseline:
    """Fit a linear baseline on train; the validation split, if any, selects the regularisation.

    Args:
        fit: a function of `ostinato.evaluation.baselines` that fits a linear model.
        targets: the targets of each split, in the form that `fit` expects.
        constant: predicts the same for a number of sequences: the baseline if train has too few rows for a linear one.
        time_left: when time is over, the best model so far is taken.
    """
    try:
        return fit_on_train(fit, data, targets, time_left=time_left)
    except DataError as error:
        return ConstantBaseline(f"a constant, because no linear model can be fitted: {error}", constant)


def fit_on_train(
    fit: Callable[..., LinearBaseline],
    data: TaskData,
    targets: Mapping[str, np.ndarray],
    *,
    time_left: TimeLeft = unlimited,
) -> LinearBaseline:
    """The same as `fit_linear`, with an error in place of a constant.

    Raises:
        DataError: no linear model can be fitted.
    """
    train, validation = data.rows["train"], data.rows.get("validation")
    return fit(
        train.sequences,
        targets["train"],
        None if validation is None else validation.sequences,
        targets.get("validation"),
        kind=baseline_kind(data.encoder.tokenizer, train.sequences[0]),
        seed=data.config.seed,
        time_left=time_left,
    )


def baseline_kind(tokenizer: str, sequence: Any) -> str:
    """The kind of features, by its name in `ostinato.evaluation.baselines`, for the sequences of a tokenizer."""
    if tokenizer == "numeric":
        return "numeric"
    if not isinstance(sequence, str):
        return "events"
    return "text" if tokenizer in ("words", "subwords", "events") else "symbols"
