"""One run of a comparison: trained or resumed in its folder, and tested at other lengths."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ostinato.comparison.lengths import LENGTHS, test_at_lengths
from ostinato.comparison.plan import Job, Plan
from ostinato.config import Config
from ostinato.errors import OstinatoError, RunError
from ostinato.runs.creation import create_run
from ostinato.runs.finished import finished_metrics
from ostinato.runs.training import resume_run
from ostinato.storage import read_json
from ostinato.storage.lock import locked
from ostinato.tasks import TASKS
from ostinato.tasks.records import TaskData

FAILURES = (OstinatoError, MemoryError, OSError, RuntimeError)  # end one run; RuntimeError: PyTorch is out of memory
WAIT_S = 60  # a process of a comparison that was killed writes a checkpoint before it ends


class Outcome(NamedTuple):
    """What became of a job.

    Args:
        metrics: the content of the run's `metrics.json`, and `lengths`, its metrics at each varied length; None if the
            run failed.
        reason: why it failed.
    """

    job: Job
    metrics: dict[str, Any] | None
    reason: str | None = None


def reason_of(error: Exception) -> str:
    """Why a run failed."""
    return str(error) or type(error).__name__


def train_run(config: Config, folder: Path, lengths: Sequence[int], data: TaskData) -> dict[str, Any]:
    """Train a run, or resume it, and test it at each length.

    Returns:
        As `Outcome.metrics`.

    Raises:
        OstinatoError: the run cannot be trained.
        KeyboardInterrupt: on SIGTERM, after a checkpoint.
    """
    if not (folder / "config.toml").exists():
        create_run(TASKS[config.task].settle(config, data), folder)
    metrics = resume_run(folder, data=data, wait_s=WAIT_S)
    if not lengths:
        return metrics
    with locked(folder, wait_s=WAIT_S):
        return {**metrics, "lengths": test_at_lengths(folder, config, lengths, data)}


def finished_outcome(job: Job, plan: Plan, folder: Path) -> Outcome | None:
    """The outcome of a run that is already in the comparison's folder; None if it is not finished."""
    run = folder / job.folder
    metrics = finished_metrics(run) if (run / "config.toml").exists() else None
    if metrics is None or not plan.lengths:
        return None if metrics is None else Outcome(job, metrics)
    lengths = run / LENGTHS
    if not lengths.exists():
        return None
    scored = read_json(lengths)
    if not all(isinstance(scored.get(str(length)), dict) for length in plan.lengths):
        raise RunError(f"{lengths}: damaged; it lacks a length of the plan. Delete the file and resume.")
    return Outcome(job, {**metrics, "lengths": scored})
