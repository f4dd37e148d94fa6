"""Score a classifier and its baselines on a split, and write and read its predictions."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ostinato.data.examples import Records
from ostinato.evaluation import bootstrap, metrics
from ostinato.evaluation.baselines import linear_baseline, majority_baseline
from ostinato.evaluation.metrics import ClassificationMetrics
from ostinato.evaluation.statistics import Scored, score_right, versus
from ostinato.progress import TimeLeft, unlimited
from ostinato.tasks.records import Model, TaskData
from ostinato.tasks.sequences.baselines import fit_linear
from ostinato.tasks.sequences.predictions import read_columns, write_columns
from ostinato.tasks.sequences.rivals import Rival, fit_rivals


class Predictions(NamedTuple):
    """The source, the target and the prediction of each row of a split.

    Args:
        targets: (B,) class indices.
        probabilities: (B, C), calibrated.
    """

    sources: list[str]
    targets: np.ndarray
    probabilities: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """Whether the most probable class is the true one, (B,)."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.targets)


def score(model: Model, targets: Tensor, logits: Tensor) -> ClassificationMetrics:
    """Metrics of calibrated probabilities with bootstrap intervals, and the calibration error before scaling.

    Args:
        targets: (B,) class indices.
        logits: (B, C).
    """
    calibrated = model.network.answers(logits).cpu().numpy()
    found = metrics.classification_metrics(targets.numpy(), calibrated, labels=model.codec.labels)
    found = found.model_copy(update={"intervals": bootstrap.bootstrap_intervals(targets.numpy(), calibrated)})
    temperature = float(model.network.temperature)
    if temperature == 1:  # not scaled
        return found
    before = metrics.expected_calibration_error(targets.numpy(), torch.softmax(logits, dim=1).numpy())
    return found.model_copy(update={"ece_before_scaling": before, "temperature": temperature})


def score_baselines(
    data: TaskData,
    say: Callable[[str], object],
    time_left: TimeLeft = unlimited,
    trained: tuple[Model, Tensor] | None = None,
) -> dict[str, ClassificationMetrics]:
    """Score the baselines on the test split: those that suit the data, a linear model first, and the majority class.

    Each is fitted on the training split. Their accuracy on the validation split tells which is the one to beat.

    Args:
        trained: a model and its logits for the test split: the accuracy of fitted baselines is compared with it.
    """
    rows, labels = data.rows, data.codec.labels
    targets = {name: split.targets.numpy() for name, split in data.splits.items()}
    shares = partial(majority_baseline, targets["train"], num_classes=len(labels))
    linear = fit_linear(linear_baseline, data, targets, constant=shares, time_left=time_left)
    models = [
        Rival("linear", linear.description, lambda split: linear.predict(rows[split].sequences)),
        *fit_rivals(data, targets, say, time_left),
    ]
    own = None if trained is None else trained[0].network.answers(trained[1]).cpu().numpy()
    found = {model.name: _score_baseline(model, targets, labels, own) for model in models}
    return {
        **found,
        "majority": metrics.classification_metrics(targets["test"], shares(len(rows["test"])), labels=labels),
    }


def _score_baseline(
    model: Rival, targets: Mapping[str, np.ndarray], labels: Sequence[object], own: np.ndarray | None
) -> ClassificationMetrics:
    """The metrics of a baseline, next to the probabilities of the run's model for the test split, if there are any."""
    answers, validation = model.predict("test"), None
    found = metrics.classification_metrics(targets["test"], answers, labels=labels)
    if "validation" in targets:
        validation = float((model.predict("validation").argmax(axis=1) == targets["validation"]).mean())
    compared = None if own is None else versus(*(_accuracy(targets["test"], each) for each in (own, answers)))
    return found.model_copy(
        update={"description": model.description, "validation_score": validation, "versus": compared}
    )


def _accuracy(targets: np.ndarray, probabilities: np.ndarray) -> Scored:
    return score_right(metrics.CLASSIFICATION_METRICS["accuracy"], (probabilities.argmax(axis=1) == targets)[None])


def write_predictions(path: Path, rows: Records, labels: Sequence[object], probabilities: np.ndarray) -> None:
    """Write the source, label, prediction and probabilities of each row as Parquet.

    Args:
        labels: the C classes, in the order of the columns of `probabilities` (B, C).

    Raises:
        RunError: the file cannot be written.
    """
    columns: dict[str, Any] = {
        "label": [str(label) for label in rows.targets],
        "prediction": [str(labels[index]) for index in probabilities.argmax(axis=1)],
    }
    columns |= {f"probability_{label}": probabilities[:, index] for index, label in enumerate(labels)}
    write_columns(path, rows.sources, columns)


def read_predictions(path: Path, labels: Sequence[str]) -> Predictions:
    """Read the file that `write_predictions` wrote.

    Args:
        labels: the C classes, in the model's order.

    Raises:
        RunError: the file is missing or altered.
    """
    index = {label: number for number, label in enumerate(labels)}
    sources, columns = read_columns(path, ["label", *(f"probability_{label}" for label in labels)], known=index)
    targets = np.array([index[label] for label in columns["label"].tolist()], dtype=np.int64)
    probabilities = np.stack([columns[f"probability_{label}"] for label in labels], axis=1).astype(np.float64)
    return Predictions(sources, targets, probabilities)
