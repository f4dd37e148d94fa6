"""Scoring a finished run on its own test split or on new rows."""

from pathlib import Path
from typing import Any

from ostinato.config import Config
from ostinato.errors import RunError
from ostinato.evaluation.results import Metrics
from ostinato.tasks import TASKS
from ostinato.tasks.base import Model
from ostinato.tasks.config import read_run_config


def evaluate_run(model: Model, run: Path, rows: Any = None) -> Metrics:
    """Score a run's model on labelled rows, or again on the run's own test split.

    Args:
        rows: as the task's `read` gives them; None: the run's own test split.

    Raises:
        RunError: the run has no test split.
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
        RunError: there is none.
        OstinatoError: the data cannot be read.
    """
    config = own_config(run)
    rows = TASKS[config.task].prepare(config.data).rows.get("test")
    if rows is None:
        raise RunError(f"{run}: was trained without a test split. Name a file: {run} FILE")
    return rows


def own_config(run: Path) -> Config:
    """The config that a run was trained with.

    Raises:
        RunError: the path is a model file, which has no data of its own.
    """
    if not (run / "config.toml").exists():
        raise RunError(f"{run}: a model file has no test split. Name a run folder, or a data file: {run} FILE")
    return read_run_config(run / "config.toml")
