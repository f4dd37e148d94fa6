"""The baselines that suit some data only: NB-SVM, LSA, and for classes boosting, MiniRocket and Hydra."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from ostinato.errors import DataError
from ostinato.evaluation.baselines.boosting import boosting_baseline, boosting_problem, suits_boosting
from ostinato.evaluation.baselines.hydra import HydraBaseline, hydra_baseline, hydra_problem
from ostinato.evaluation.baselines.kernels import KernelBaseline, kernel_baseline, kernel_problem
from ostinato.evaluation.baselines.lsa import Lsa, fit_lsa, lsa_baseline, lsa_problem
from ostinato.evaluation.baselines.nbsvm import nbsvm_baseline, nbsvm_problem
from ostinato.progress import TimeLeft, unlimited
from ostinato.tasks.records import TaskData
from ostinato.tasks.sequences.baselines import baseline_kind, fit_on_train
from ostinato.tasks.sequences.prepare import encode_unlabelled


class Rival(NamedTuple):
    """A fitted baseline.

    Args:
        predict: from the name of a split to probabilities (B, C) of classes or (B, L) of labels.
    """

    name: str
    description: str
    predict: Callable[[str], np.ndarray]


Fit = Callable[[TaskData, Mapping[str, np.ndarray], TimeLeft], Rival]


def fit_rivals(
    data: TaskData, targets: Mapping[str, np.ndarray], say: Callable[[str], object], time_left: TimeLeft = unlimited
) -> Iterator[Rival]:
    """Fit the baselines that suit the sequences on train, and say which are left out and why.

    Args:
        targets: (B,) class indices or (B, L) labels of each split.
        time_left: when time is over, those that are not yet fitted are left out.
    """
    sequences = data.rows["train"].sequences
    kind = baseline_kind(data.encoder.tokenizer, sequences[0])
    fits: dict[str, Fit] = {} if kind == "numeric" else {"nbsvm": _nbsvm}
    fits |= {"lsa": _lsa} if data.unlabelled is not None and kind != "numeric" else {}
    if targets["train"].ndim == 1:  # of classes
        fits |= {"kernels": _kernels, "hydra": _hydra} if kind == "numeric" else {}
        fits |= {"boosting": _boosting} if suits_boosting(sequences, kind) else {}
    for name, fit in fits.items():
        try:
            refuse("there is no time left" if time_left() < 0 else None)
            yield fit(data, targets, time_left)
        except DataError as error:
            say(f"The baseline {name} is left out: {str(error).removesuffix('.')}.")


def _nbsvm(data: TaskData, targets: Mapping[str, np.ndarray], time_left: TimeLeft) -> Rival:
    refuse(nbsvm_problem(data.rows["train"].sequences, len(data.codec.labels)))
    fitted = fit_on_train(nbsvm_baseline, data, targets, time_left=time_left)
    return Rival("nbsvm", fitted.description, lambda split: fitted.predict(data.rows[split].sequences))


def _lsa(data: TaskData, targets: Mapping[str, np.ndarray], time_left: TimeLeft) -> Rival:
    features = _lsa_features(data, time_left)
    fitted = fit_on_train(partial(lsa_baseline, lsa=features), data, targets, time_left=time_left)
    return Rival("lsa", fitted.description, lambda split: fitted.predict(data.rows[split].sequences))


def _lsa_features(data: TaskData, time_left: TimeLeft) -> Lsa:
    """Fitted to the rows that a teacher reads, or those of the teacher itself: they are the same."""
    key = lsa_key(data)
    if key not in data.known:
        assert data.unlabelled is not None
        labelled = data.rows["train"].sequences
        together = [*labelled, *encode_unlabelled(data.encoder, data.unlabelled)[0].sequences]
        refuse(lsa_problem(sum(map(len, together)), time_left))
        kind = baseline_kind(data.encoder.tokenizer, labelled[0])
        data.known[key] = fit_lsa(together, kind, len(data.codec.labels))
    found: Lsa = data.known[key]
    return found


def lsa_key(data: TaskData) -> Hashable:
    """Where `data.known` has the features that a teacher, or this baseline, has fitted."""
    return ("lsa", data.splits["train"].digest())


def _boosting(data: TaskData, targets: Mapping[str, np.ndarray], time_left: TimeLeft) -> Rival:
    train = data.rows["train"]
    refuse(boosting_problem(len(train), len(data.codec.labels)))
    fitted = boosting_baseline(train.sequences, targets["train"], seed=data.config.seed)
    return Rival("boosting", fitted.description, lambda split: fitted.predict(data.rows[split].sequences))


def _kernels(data: TaskData, targets: Mapping[str, np.ndarray], time_left: TimeLeft) -> Rival:
    train = data.splits["train"].sequences
    refuse(kernel_problem(train.values, train.lengths))
    return _on_series("kernels", kernel_baseline, data, targets)


def _hydra(data: TaskData, targets: Mapping[str, np.ndarray], time_left: TimeLeft) -> Rival:
    train = data.splits["train"].sequences
    refuse(hydra_problem(train.lengths, time_left))
    return _on_series("hydra", hydra_baseline, data, targets)


def _on_series(
    name: str,
    fit: Callable[..., KernelBaseline | HydraBaseline],
    data: TaskData,
    targets: Mapping[str, np.ndarray],
) -> Rival:
    train, seed = data.splits["train"].sequences, data.config.seed
    fitted = fit(train.values, train.lengths, targets["train"], num_classes=len(data.codec.labels), seed=seed)

    def predict(split: str) -> np.ndarray:
        series = data.splits[split].sequences
        return fitted.predict(series.values, series.lengths)

    return Rival(name, fitted.description, predict)


def refuse(problem: str | None) -> None:
    """Raise a `DataError` if there is a problem."""
    if problem is not None:
        raise DataError(problem)
