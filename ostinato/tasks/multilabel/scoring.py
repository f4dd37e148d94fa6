"""The metrics of a multilabel classifier on a split, its baselines, and its answers on disk."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from ostinato.data.examples import Records
from ostinato.errors import DataError
from ostinato.evaluation.baselines import label_frequencies, linear_multilabel_baseline
from ostinato.evaluation.statistics import Scored, versus
from ostinato.progress import TimeLeft, unlimited
from ostinato.storage import unusable
from ostinato.tasks.multilabel.codec import LabelSetCodec
from ostinato.tasks.multilabel.metrics import (
    MULTILABEL_METRICS,
    MultilabelMetrics,
    choose_thresholds,
    multilabel_metrics,
    score_multilabel,
)
from ostinato.tasks.records import Model, TaskData
from ostinato.tasks.sequences.baselines import fit_linear
from ostinato.tasks.sequences.predictions import read_columns, write_columns
from ostinato.tasks.sequences.rivals import Rival, fit_rivals


class Predictions(NamedTuple):
    """The predictions for each row of a split.

    Args:
        sources: where each row comes from.
        targets: (B, L), 0 or 1.
        probabilities: (B, L), calibrated.
        thresholds: (L,), the probability from which each label is predicted.
    """

    sources: list[str]
    targets: np.ndarray
    probabilities: np.ndarray
    thresholds: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """(B, L), whether each label is predicted."""
        return np.asarray(self.probabilities >= self.thresholds)


def score(model: Model, targets: Tensor, logits: Tensor) -> MultilabelMetrics:
    """Metrics of calibrated answers with bootstrap intervals, and the calibration error before temperature scaling."""
    network, labels = model.network, model.codec.labels
    thresholds = network.thresholds.cpu().numpy()
    found = multilabel_metrics(targets.numpy(), network.answers(logits).cpu().numpy(), thresholds, labels)
    if bool((network.temperatures == 1).all()):  # not scaled
        return found
    uncalibrated = multilabel_metrics(targets.numpy(), logits.sigmoid().numpy(), thresholds, labels, resamples=0)
    return found.model_copy(update={"ece_before_scaling": uncalibrated.ece})


def score_baselines(
    data: TaskData,
    say: Callable[[str], object],
    time_left: TimeLeft = unlimited,
    trained: tuple[Model, Tensor] | None = None,
) -> dict[str, MultilabelMetrics]:
    """Score the baselines on the test split: linear models, NB-SVM where it suits the data, and the label frequencies.

    Each is fitted on the training split. Their thresholds have the highest F1 on the validation split; without one they
    are 0.5. The micro F1 of the fitted ones on the validation split tells which is the one to beat.

    Args:
        trained: a model and its logits for the test split: the micro F1 of fitted baselines is compared with it.
    """
    rows = data.rows
    targets = {name: split.targets.numpy() for name, split in data.splits.items()}
    frequencies = partial(label_frequencies, targets["train"])
    linear = fit_linear(linear_multilabel_baseline, data, targets, constant=frequencies, time_left=time_left)
    models = [
        Rival("linear", linear.description, lambda split: linear.predict(rows[split].sequences)),
        *fit_rivals(data, targets, say, time_left),
    ]
    labels = data.codec.labels
    own = None if trained is None else _micro_f1(targets["test"], *_answers(*trained))
    constant = Rival("frequency", "", lambda split: frequencies(len(rows[split])))
    return {
        **{model.name: _score_rival(model, targets, labels, own) for model in models},
        "frequency": _score_baseline(constant, targets, labels)[0],
    }


def _score_rival(
    model: Rival, targets: Mapping[str, np.ndarray], labels: Sequence[object], own: Scored | None
) -> MultilabelMetrics:
    """The metrics of a fitted baseline, next to the scores of the run's model, if there are any."""
    found, thresholds, validation = _score_baseline(model, targets, labels)
    compared = None
    if own is not None:
        compared = versus(own, _micro_f1(targets["test"], model.predict("test"), thresholds))
    return found.model_copy(
        update={"description": model.description, "validation_score": validation, "versus": compared}
    )


def _score_baseline(
    model: Rival, targets: Mapping[str, np.ndarray], labels: Sequence[object]
) -> tuple[MultilabelMetrics, np.ndarray, float | None]:
    """The metrics of the test split, the thresholds, and the micro F1 of the validation split, if there is one."""
    thresholds, validation = np.full(len(labels), 0.5), None
    if "validation" in targets:
        answers = model.predict("validation")
        thresholds = choose_thresholds(targets["validation"], answers)
        validation = multilabel_metrics(targets["validation"], answers, thresholds, labels, resamples=0).micro_f1
    return multilabel_metrics(targets["test"], model.predict("test"), thresholds, labels), thresholds, validation


def _answers(model: Model, outputs: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (B, L) and thresholds (L,)."""
    return model.network.answers(outputs).cpu().numpy(), model.network.thresholds.cpu().numpy()


def _micro_f1(targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray) -> Scored:
    return score_multilabel(targets, probabilities[None], thresholds[None], MULTILABEL_METRICS["micro_f1"])


def write_predictions(path: Path, rows: Records, model: Model, probabilities: np.ndarray) -> None:
    """Write the source of each row, its labels, the predicted ones and the probabilities (B, L), as Parquet.

    Raises:
        RunError: the file cannot be written.
    """
    predicted = probabilities >= model.network.thresholds.cpu().numpy()
    columns: dict[str, Any] = {
        "labels": [list(map(str, labels)) for labels in rows.targets],
        "predicted": [list(map(str, labels)) for labels in model.codec.decode(predicted)],
    }
    names = map(str, model.codec.labels)
    columns |= {f"probability_{name}": probabilities[:, index] for index, name in enumerate(names)}
    write_columns(path, rows.sources, columns)


def read_predictions(path: Path, per_label: Mapping[str, Mapping[str, Any]]) -> Predictions:
    """Read what `write_predictions` wrote.

    Args:
        per_label: the run's test scores by label, in the model's order.

    Raises:
        RunError: the file is missing or altered.
    """
    labels: Sequence[str] = list(per_label)
    sources, columns = read_columns(path, ["labels", *(f"probability_{label}" for label in labels)])
    try:
        targets = LabelSetCodec(tuple(labels)).encode(columns["labels"], sources).numpy()
    except DataError:  # a label that the model does not have
        raise unusable(path) from None
    probabilities = np.stack([columns[f"probability_{label}"] for label in labels], axis=1).astype(np.float64)
    return Predictions(sources, targets, probabilities, np.array([each["threshold"] for each in per_label.values()]))
