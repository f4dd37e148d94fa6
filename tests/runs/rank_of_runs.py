"""What each process of a test does: `torchrun … rank_of_runs.py FOLDER …` trains FOLDER/config.toml in FOLDER/run.

With `--stop-after N`, a process gets SIGTERM in step N of each training. A run that exists is resumed.
"""

import argparse
import os
import signal
from contextlib import suppress
from pathlib import Path

from ostinato import runs
from ostinato.progress import Progress
from ostinato.tasks.config import read_run_config
from ostinato.training.ranks import joined_ranks


class Stopping(Progress):
    """Sends SIGTERM to this process in a step of the training."""

    def __init__(self, after):
        super().__init__(quiet=True)
        self.left = after

    def step(self, share, tokens, loss):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)


def train(folder, ranks, stop_after):
    if not ranks.is_first:
        runs.help_train(ranks)
        return
    progress = Stopping(stop_after)
    if (folder / "run").exists():
        runs.resume_run(folder / "run", progress=progress, ranks=ranks)
    else:
        runs.start_run(read_run_config(folder / "config.toml"), folder / "run", progress=progress, ranks=ranks)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--stop-after", type=int, default=0)
    given = parser.parse_args()
    with joined_ranks(os.environ) as ranks:
        for folder in given.folders:
            with suppress(KeyboardInterrupt):
                train(folder, ranks, given.stop_after)
