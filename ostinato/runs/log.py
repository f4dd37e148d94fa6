"""What a run writes while it trains: `training.log` and `metrics.jsonl`."""

import json
import shlex
import sys
from pathlib import Path

from ostinato.printable import visible_lines
from ostinato.progress import Progress
from ostinato.storage import append, now, write_atomically
from ostinato.training import TrainingState


class Log:
    """`training.log`: each message with its time. `say` also prints it; `note` prints it on a terminal only."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path, self.progress = path, progress
        self._write(f"$ {shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])}")

    def say(self, line: str) -> None:
        self.progress.say(line)
        self._write(line)

    def note(self, line: str) -> None:
        self.progress.note(line)
        self._write(line)

    def _write(self, line: str) -> None:
        append(self.path, f"{now()} {visible_lines(line)}\n")


def write_history(folder: Path, state: TrainingState) -> None:
    """Write `metrics.jsonl`, one line per epoch."""
    write_atomically(folder / "metrics.jsonl", "".join(json.dumps(entry) + "\n" for entry in state.history))


def epoch_line(state: TrainingState) -> str:
    """The last epoch's losses and metrics, for people."""
    entry = state.history[-1]
    parts = [f"train loss {entry['train_loss']:.4f}"]
    parts += [
        f"{name.replace('_', ' ')} {value:.4f}" for name, value in entry.items() if name.startswith("validation_")
    ]
    best = "  best so far" if state.best_epoch == state.epoch - 1 and "validation_loss" in entry else ""
    return f"Epoch {entry['epoch']}: {', '.join(parts)}, {entry['seconds']:.1f} s{best}"
