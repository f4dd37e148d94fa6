"""The figures of a trained model on a split, beside what it must beat."""

import os
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ostinato.data.dataset import Dataset
from ostinato.data.encoder import Encoder
from ostinato.data.examples import Examples
from ostinato.errors import RunError
from ostinato.evaluation import baselines, bootstrap, metrics
from ostinato.models import Classifier


class Predictions(NamedTuple):
    """The test split row by row: where each row came from, class indices (B,) and calibrated probabilities (B, C)."""

    places: list[str]
    targets: np.ndarray
    probabilities: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """Whether the most probable class is the right one. (B,)."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.targets)


def score(model: Classifier, encoder: Encoder, targets: Tensor, logits: Tensor) -> dict[str, Any]:
    """Metrics of calibrated answers with bootstrap intervals, and the calibration error before temperature scaling."""
    calibrated = model.probabilities(logits).numpy()
    scored = metrics.classification_metrics(targets.numpy(), calibrated, labels=encoder.labels)
    uncalibrated = torch.softmax(logits, dim=1).numpy()
    update = {
        "ece_before_scaling": metrics.expected_calibration_error(targets.numpy(), uncalibrated),
        "temperature": float(model.temperature),
        "intervals": bootstrap.bootstrap_intervals(targets.numpy(), calibrated),
    }
    return scored.model_copy(update=update).to_json()


def score_baselines(data: Dataset, encoder: Encoder, targets: dict[str, np.ndarray], seed: int) -> dict[str, Any]:
    """What the model must beat on the test split: the commonest class, and a linear model of the same training split.

    Args:
        targets: label indices (B,) of each split.
        seed: draws the folds where there is no validation split.
    """
    assert data.test is not None
    majority = baselines.majority_baseline(targets["train"], len(targets["test"]), encoder.num_labels)
    linear = baselines.linear_baseline(
        data.train.sequences,
        targets["train"],
        data.validation.sequences if data.validation is not None else None,
        targets.get("validation"),
        kind=_baseline_kind(encoder.tokenizer, data.train.sequences[0]),
        seed=seed,
    )
    measured = partial(metrics.classification_metrics, targets["test"], labels=encoder.labels)
    return {
        "majority": measured(majority).to_json(),
        "linear": {"description": linear.description, **measured(linear.predict(data.test.sequences)).to_json()},
    }


def write_predictions(path: Path, examples: Examples, encoder: Encoder, predicted: np.ndarray) -> None:
    """Write where each row came from, its label, the prediction, and the probabilities (B, C), as Parquet.

    Raises:
        RunError: the file cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    columns: dict[str, Any] = {
        "place": examples.places,
        "label": [str(label) for label in examples.labels],
        "prediction": [str(encoder.labels[index]) for index in predicted.argmax(axis=1)],
    }
    columns |= {f"probability_{label}": predicted[:, index] for index, label in enumerate(encoder.labels)}
    fresh = path.with_suffix(".tmp")
    try:
        parquet.write_table(pa.table(columns), fresh)
        fresh.replace(path)
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written: {os.strerror(error.errno or 0)}. Make room, then: ostinato train --resume {path.parent}"
        ) from None


def read_predictions(path: Path, labels: list[str]) -> Predictions:
    """What `write_predictions` wrote; `labels` as the model has them.

    Raises:
        RunError: the file is missing or altered.
    """
    from pyarrow import ArrowException, parquet

    index = {label: number for number, label in enumerate(labels)}
    try:
        table = parquet.read_table(path)
        targets = np.array([index[label] for label in table["label"].to_pylist()], dtype=np.int64)
        columns = [table[f"probability_{label}"].to_numpy() for label in labels]
        return Predictions(table["place"].to_pylist(), targets, np.stack(columns, axis=1).astype(np.float64))
    except (OSError, ArrowException, KeyError):
        raise unusable(path) from None


def unusable(path: Path) -> RunError:
    """Said of a file that a run should hold."""
    return RunError(f"{path}: missing, or not what the run wrote. Copy the folder again, or train anew.")


def _baseline_kind(tokenizer: str, sequence: Any) -> str:
    if tokenizer == "events":
        return "text" if isinstance(sequence, str) else "events"
    return {"words": "text", "numeric": "numeric"}.get(tokenizer, "symbols")
