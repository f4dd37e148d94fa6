"""Which rows a run was trained on, with labels or without: hashes, so that rows of other files that it saw are counted.

Two rows are the same if their sequences are, in the sense of the audit; their targets do not matter. Hashes have 64
bits: among a million rows and a million others, a false match has a probability of 1 in 10 million.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ostinato.data.hashes import row_hashes
from ostinato.errors import RunError
from ostinato.storage import load_tensors, refuse_altered, save_tensors
from ostinato.tasks.base import Task
from ostinato.tasks.records import Model, TaskData

ROWS = "rows.safetensors"
SPLITS = ("train", "validation")


class Seen(NamedTuple):
    """How many of the scored rows a run has used before.

    Args:
        rows: that were scored.
        training: of them, rows that are also in the training split.
        validation: of them, rows that are in the validation split, and not in the training split.
    """

    rows: int
    training: int
    validation: int

    @property
    def sentence(self) -> str:
        """The counts, for people."""
        places = [(self.training, "training"), (self.validation, "validation")]
        counts = " and ".join(f"{count:,} in its {split} data" for count, split in places if count)
        return (
            f"Of {self.rows:,} rows, the run has seen {counts}: the scores are higher than for new rows. Score rows "
            "that it has not seen."
        )


def save_rows(folder: Path, task: Task, data: TaskData) -> None:
    """Write the hashes of the training and validation rows: for each split, (B,) int64, sorted.

    Raises:
        RunError: the file cannot be written.
    """
    hashes = {name: row_hashes(task.row_keys(data.encoder, data.rows[name])) for name in SPLITS if name in data.rows}
    if data.unlabelled is not None:
        more = row_hashes(task.row_keys(data.encoder, data.unlabelled))
        hashes["train"] = np.concatenate([hashes["train"], more])
    tensors = {name: torch.from_numpy(np.sort(each)) for name, each in hashes.items()}
    save_tensors(folder / ROWS, tensors, {"kind": "rows"})


def seen_rows(model: Model, folder: Path, rows: Any) -> Seen | None:
    """Count the rows that a run was trained or validated on; None if it does not know its rows, as in version 0.1.

    Raises:
        RunError: the run's hashes are damaged.
    """
    path = folder / ROWS
    if not path.exists():
        return None
    refuse_altered(path)
    tensors, facts, _ = load_tensors(path)
    if facts.get("kind") != "rows" or "train" not in tensors:
        raise RunError(f"{path}: does not hold the rows of a run. Copy the run folder again.")
    found = row_hashes(model.task.row_keys(model.encoder, rows))
    known = [tensors[name].numpy() if name in tensors else np.empty(0, np.int64) for name in SPLITS]
    in_training, in_validation = (np.isin(found, hashes) for hashes in known)
    return Seen(len(found), int(in_training.sum()), int((in_validation & ~in_training).sum()))
