"""What the ranks of a run check before they train: that all can read the data, and that their data are the same."""

import hashlib
import json
from pathlib import Path

from ostinato.config import Config
from ostinato.data.hashes import row_hashes
from ostinato.errors import ConfigError, OstinatoError
from ostinato.tasks import TASKS
from ostinato.tasks.base import Task
from ostinato.tasks.records import TaskData
from ostinato.training.ranks import Ranks

ADVICE = "Each rank reads the data on its own machine: copy the files of rank 0 to the same paths there."
SHOWN_DIGITS = 8  # of a digest


def prepare_on_all(config: Config, ranks: Ranks) -> TaskData:
    """Prepare the data of a config on this rank, and compare them with those of rank 0.

    All ranks call this together. They compare which files exist before they read any, which may take long.

    Args:
        config: with absolute paths.

    Raises:
        TrainingError: this is rank 0, and another one cannot prepare the data, or has other data.
        ConfigError: this is rank 0, and the training split has fewer rows than there are ranks.
        OstinatoError: this is rank 0, and the data cannot be used.
        SystemExit: this is another rank, and rank 0 has ended with one of these errors.
    """
    task = TASKS[config.task]
    if ranks.size == 1:
        return task.prepare_for(config)
    ranks.agree({path: "present" for path in _paths(config) if Path(path).exists()}, ADVICE)
    try:
        data = task.prepare_for(config)
    except OstinatoError as error:
        if not ranks.is_first:
            ranks.agree({}, ADVICE, problem=str(error))
        raise
    if ranks.is_first:
        _refuse_more_ranks_than_rows(len(data.rows["train"]), ranks.size)
    ranks.agree(_facts(task, data), ADVICE)
    return data


def _paths(config: Config) -> list[str]:
    """The files and runs that a config names."""
    more = (config.model.init, getattr(config.training, "teacher", None))
    return [*config.data.files().values(), *(path for path in more if path is not None)]


def _facts(task: Task, data: TaskData) -> dict[str, str]:
    """What must be equal on all ranks, with a digest of each part."""
    digests = {f"the {name} split": (len(data.rows[name]), split.digest()) for name, split in data.splits.items()}
    if data.unlabelled is not None:
        hashes = row_hashes(task.row_keys(data.encoder, data.unlabelled))
        digests["data.unlabelled"] = (len(hashes), hashlib.sha256(hashes.tobytes()).hexdigest())
    facts = {name: f"{rows:,} rows (digest {digest[:SHOWN_DIGITS]})" for name, (rows, digest) in digests.items()}
    encoder = hashlib.sha256(json.dumps(data.encoder.to_json(), sort_keys=True).encode()).hexdigest()
    return {**facts, "the vocabulary": f"one with the digest {encoder[:SHOWN_DIGITS]}"}


def _refuse_more_ranks_than_rows(rows: int, ranks: int) -> None:
    if rows < ranks:
        raise ConfigError(
            f"The training split has {rows} rows, but {ranks} processes are to divide it: each needs at least one row. "
            "Start fewer processes with torchrun, or train on one without it."
        )
