"""The baselines of classes that suit some data only: NB-SVM, gradient boosting and MiniRocket's kernels."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ostinato.errors import DataError
from ostinato.evaluation.baselines.boosting import boosting_baseline, boosting_problem, suits_boosting
from ostinato.evaluation.baselines.kernels import kernel_baseline, kernel_problem
from ostinato.evaluation.baselines.nbsvm import nbsvm_baseline, nbsvm_problem
from ostinato.progress import TimeLeft, unlimited
from ostinato.tasks.base import TaskData
from ostinato.tasks.sequences.baselines import baseline_kind


class Rival(NamedTuple):
    """A fitted baseline.

    Args:
        predict: from the name of a split to probabilities (B, C).
    """

    name: str
    description: str
    predict: Callable[[str], np.ndarray]


Fit = Callable[[TaskData, Mapping[str, np.ndarray], str, TimeLeft], Rival]


def fit_rivals(
    data: TaskData, targets: Mapping[str, np.ndarray], say: Callable[[str], object], time_left: TimeLeft = unlimited
) -> Iterator[Rival]:
    """Fit the baselines that suit the sequences on train, and say which are left out because they would take too long.

    Args:
        targets: (B,) class indices of each split.
        time_left: when time is over, those that are not yet fitted are left out.
    """
    sequences = data.rows["train"].sequences
    kind = baseline_kind(data.encoder.tokenizer, sequences[0])
    if kind == "numeric":
        fits: dict[str, Fit] = {"kernels": _kernels}
    else:
        fits = {"nbsvm": _nbsvm} | ({"boosting": _boosting} if suits_boosting(sequences, kind) else {})
    for name, fit in fits.items():
        try:
            refuse("there is no time left" if time_left() < 0 else None)
            yield fit(data, targets, kind, time_left)
        except DataError as error:
            say(f"The baseline {name} is left out: {error}.")


def _nbsvm(data: TaskData, targets: Mapping[str, np.ndarray], kind: str, time_left: TimeLeft) -> Rival:
    train, validation = data.rows["train"], data.rows.get("validation")
    refuse(nbsvm_problem(train.sequences, len(data.codec.labels)))
    counts = np.bincount(targets["train"])
    refuse(None if (counts >= 2).sum() >= 2 else f"training rows of each class: {counts.tolist()}")
    fitted = nbsvm_baseline(
        train.sequences,
        targets["train"],
        None if validation is None else validation.sequences,
        targets.get("validation"),
        kind=kind,
        seed=data.config.seed,
        time_left=time_left,
    )
    return Rival("nbsvm", fitted.description, lambda split: fitted.predict(data.rows[split].sequences))


def _boosting(data: TaskData, targets: Mapping[str, np.ndarray], kind: str, time_left: TimeLeft) -> Rival:
    train = data.rows["train"]
    refuse(boosting_problem(len(train), len(data.codec.labels)))
    fitted = boosting_baseline(train.sequences, targets["train"], seed=data.config.seed)
    return Rival("boosting", fitted.description, lambda split: fitted.predict(data.rows[split].sequences))


def _kernels(data: TaskData, targets: Mapping[str, np.ndarray], kind: str, time_left: TimeLeft) -> Rival:
    train = data.splits["train"].sequences
    refuse(kernel_problem(train.values, train.lengths))
    fitted = kernel_baseline(
        train.values, train.lengths, targets["train"], num_classes=len(data.codec.labels), seed=data.config.seed
    )

    def predict(split: str) -> np.ndarray:
        series = data.splits[split].sequences
        return fitted.predict(series.values, series.lengths)

    return Rival("kernels", fitted.description, predict)


def refuse(problem: str | None) -> None:
    """Raise a `DataError` if there is a problem."""
    if problem is not None:
        raise DataError(problem)
