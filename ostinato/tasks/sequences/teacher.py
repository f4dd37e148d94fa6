"""A finished run as the teacher of self-training: its model labels the unlabelled rows."""

from pathlib import Path

import numpy as np

from ostinato.data.examples import Records
from ostinato.errors import ConfigError
from ostinato.evaluation.baselines.heads import class_head, label_head
from ostinato.evaluation.baselines.teacher import Taught, Teacher
from ostinato.tasks.model_file import load_model
from ostinato.tasks.records import Model, TaskData
from ostinato.tasks.seen import seen_rows
from ostinato.training import predict_outputs


def teach_from_run(folder: Path, data: TaskData, rows: Records) -> Taught:
    """The probabilities (U, C) float32 that a run's model gives unlabelled rows, and its log-loss on validation rows.

    Raises:
        ConfigError: the run has another task or other labels, or has seen rows of the validation or test split.
        RunError: the run is not finished, or damaged.
    """
    model = load_model(folder)
    _refuse_other_labels(model, folder, data)
    _refuse_seen_rows(model, folder, data)
    losses = {}
    if "validation" in data.rows:
        targets = data.splits["validation"].targets.numpy()
        head = class_head if targets.ndim == 1 else label_head
        predicted = _answers(model, data.rows["validation"]).astype(np.float64)
        losses[folder.name] = head(predicted.shape[1]).loss(targets, predicted)
    return Taught(_answers(model, rows), Teacher([folder.name], losses, losses.get(folder.name), 1.0))


def _answers(model: Model, rows: Records) -> np.ndarray:
    encoded = model.encoder.encode(rows.sequences, rows.sources)
    answers: np.ndarray = model.network.answers(predict_outputs(model.network, encoded)).numpy()
    return answers


def _refuse_other_labels(model: Model, folder: Path, data: TaskData) -> None:
    is_same = type(model.codec) is type(data.codec)
    if not is_same or list(model.codec.names) != list(data.codec.names):
        found, expected = (", ".join(map(str, codec.names)) for codec in (model.codec, data.codec))
        raise ConfigError(
            f"training.teacher: {folder} is a run of task {model.task.name} with {found:.80}, expected the labels "
            f"{expected:.80}. Name a run of the same task and labels."
        )


def _refuse_seen_rows(model: Model, folder: Path, data: TaskData) -> None:
    """Refuse a teacher that was trained on rows which are to score its student, or validated on test rows."""
    for split in [name for name in ("validation", "test") if name in data.rows]:
        seen = seen_rows(model, folder, data.rows[split])
        if seen is None:
            raise ConfigError(
                f"training.teacher: {folder} does not say which rows it was trained on, so they may include rows "
                f"of {split}. Name a run folder that this version of ostinato train made."
            )
        count = seen.training + (seen.validation if split == "test" else 0)
        if count:
            raise ConfigError(
                f"training.teacher: {folder} has seen {count:,} of {len(data.rows[split]):,} {split} rows, so the "
                "scores would be too high. Name a run with the same splits: the same data and data.seed."
            )
