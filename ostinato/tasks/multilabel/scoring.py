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
from ostinato.progress import TimeLeft
from ostinato.storage import unusable
from ostinato.tasks.multilabel.codec import LabelSetCodec
from ostinato.tasks.multilabel.metrics import MultilabelMetrics, choose_thresholds, multilabel_metrics
from ostinato.tasks.records import Model, TaskData
from ostinato.tasks.sequences.baselines import fit_linear
from ostinato.tasks.sequences.predictions import read_columns, write_columns


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


def score_baselines(data: TaskData, time_left: TimeLeft) -> dict[str, MultilabelMetrics]:
    """Score the baselines on the test split: linear models, and the label frequencies of the training split.

    Their thresholds have the highest F1 on the validation split; without one they are 0.5.
    """
    rows = data.rows
    targets = {name: split.targets.numpy() for name, split in data.splits.items()}
    validation = rows.get("validation")
    frequencies = partial(label_frequencies, targets["train"])
    linear = fit_linear(linear_multilabel_baseline, data, targets, constant=frequencies, time_left=time_left)
    predict: dict[str, Callable[[Sequence[Any]], np.ndarray]] = {
        "linear": linear.predict,
        "frequency": lambda sequences: frequencies(len(sequences)),
    }
    found = {}
    for name, model in predict.items():
        thresholds = np.full(len(data.codec.labels), 0.5)
        if validation is not None:
            thresholds = choose_thresholds(targets["validation"], model(validation.sequences))
        answers = model(rows["test"].sequences)
        found[name] = multilabel_metrics(targets["test"], answers, thresholds, data.codec.labels)
    found["linear"] = found["linear"].model_copy(update={"description": linear.description})
    return found


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
