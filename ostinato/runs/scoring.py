"""Scoring a finished run on its own test split or on new rows."""

from pathlib import Path
from typing import Any

from ostinato.config import Config
from ostinato.errors import DataError, RunError
from ostinato.evaluation.results import Metrics
from ostinato.runs.finished import finished_metrics
from ostinato.tasks import TASKS
from ostinato.tasks.base import Task
from ostinato.tasks.config import read_run_config
from ostinato.tasks.model_file import load_model
from ostinato.tasks.records import Model


def evaluate_run(model: Model, run: Path, rows: Any = None) -> Metrics:
    """Score a run's model on labelled rows, or again on the run's own test split.

    Args:
        rows: as the task's `read` gives them; None: the run's own test split.

    Raises:
        RunError: the run has no test split, or its data have changed.
        DataError: a row that cannot be scored, or a target that training never saw.
    """
    if rows is None:
        rows = test_rows(run)
    else:
        model.task.refuse_new(model, rows)
    examples = model.task.encode(model, rows)
    return model.task.score(model, rows, examples, model.task.outputs(model.network, examples))


def test_rows(run: Path) -> Any:
    """A run's own test split, loaded again.

    Raises:
        RunError: there is none, or the data are not those that the run was trained on.
        OstinatoError: the data cannot be read.
    """
    rows = _split_rows(run, "test")
    if rows is None:
        raise RunError(f"{run}: was trained without a test split. Name a file: {run} FILE")
    refuse_other_data(load_model(run), run, rows)
    return rows


def validation_rows(run: Path, task: Task) -> Any:
    """A run's own validation split, loaded again.

    Raises:
        RunError: there is none, the run is of another task, or the data are not those that it was trained on.
        OstinatoError: the data cannot be read.
    """
    if not (run / "config.toml").exists():
        raise RunError(f"{run}: not a run folder, so it has no validation split. Name the folder of a run.")
    other = own_config(run).task
    if other != task.name:
        raise RunError(f"{run}: its task is {other}, and that of the model {task.name}. Name a run of the same task.")
    rows = _split_rows(run, "validation")
    if rows is None:
        raise RunError(
            f"{run}: was trained without a validation split. Train again with data.validation_size, or pass labelled "
            "rows in Python: validation=(X, y)"
        )
    refuse_other_data(load_model(run), run, rows, "validation")
    return rows


def _split_rows(run: Path, split: str) -> Any:
    config = own_config(run)
    return TASKS[config.task].prepare(config.data).rows.get(split)


def refuse_other_data(model: Model, run: Path, rows: Any, split: str = "test") -> None:
    """Refuse a split that is not the one that a run used: the rows, their order or their targets have changed.

    If the splits were drawn at random, rows of the training split could otherwise be scored as if they were new. Runs
    of version 0.1 do not know their data, and are not checked.

    Raises:
        RunError: the split is another one.
    """
    metrics = finished_metrics(run)
    digest = (metrics or {}).get("data", {}).get("digests", {}).get(split)
    if digest is None:
        return
    try:
        found = model.task.encode(model, rows).digest()
    except DataError:  # a label that the model does not have
        found = None
    if found != digest:
        other = ", or score a file of new rows: ostinato evaluate RUN FILE" if split == "test" else "."
        raise RunError(
            f"{run}: the data are not those of the run: its {split} split has changed since it was scored. If the "
            f"splits are drawn at random, it may now hold training rows. Restore the data file{other}"
        )


def own_config(run: Path) -> Config:
    """The config that a run was trained with.

    Raises:
        RunError: the path is a model file, which has no data of its own.
    """
    if not (run / "config.toml").exists():
        raise RunError(f"{run}: a model file has no test split. Name a run folder, or a data file: {run} FILE")
    return read_run_config(run / "config.toml")
