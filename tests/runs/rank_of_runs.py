"""What each process of a test does: `torchrun … rank_of_runs.py FOLDER …` trains FOLDER/config.toml in FOLDER/run.

With `--stop-after N`, a process gets SIGTERM in step N of each training; with `--longest-step S`, ranks wait S seconds
for each other. A run that exists is resumed. Rank 0 fits no baseline before the others have done their part: they must
not wait for it.
"""

import argparse
import os
import signal
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from ostinato import runs
from ostinato.progress import Progress
from ostinato.tasks import TASKS
from ostinato.tasks.config import read_run_config
from ostinato.training import ranks as data_parallel

LONGEST_WAIT_S = 60


class Stopping(Progress):
    """Sends SIGTERM to this process in a step of the training."""

    def __init__(self, after):
        super().__init__(quiet=True)
        self.left = after

    def step(self, share, tokens, loss):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)


def after_the_helpers(score_baselines, done):
    """The same function, which first waits for the files that the other ranks leave."""

    def score(*arguments, **options):
        deadline = time.monotonic() + LONGEST_WAIT_S
        while not all(path.exists() for path in done):
            assert time.monotonic() < deadline, "another rank waits for the baselines"
            time.sleep(0.01)
        return score_baselines(*arguments, **options)

    return score


def train(folder, ranks, stop_after):
    done = [folder / f"done-by-{rank}-of-{ranks.size}" for rank in range(ranks.size)]
    if not ranks.is_first:
        runs.help_train(ranks)
        done[ranks.rank].touch()
        return
    progress = Stopping(stop_after)
    task = TASKS[read_run_config(folder / "config.toml").task]
    task.score_baselines = after_the_helpers(type(task).score_baselines.__get__(task), done[1:])
    if (folder / "run").exists():
        runs.resume_run(folder / "run", progress=progress, ranks=ranks)
    else:
        runs.start_run(read_run_config(folder / "config.toml"), folder / "run", progress=progress, ranks=ranks)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--stop-after", type=int, default=0)
    parser.add_argument("--longest-step", type=float)
    given = parser.parse_args()
    if given.longest_step is not None:
        data_parallel.LONGEST_STEP = timedelta(seconds=given.longest_step)
    with data_parallel.joined_ranks(os.environ) as ranks:
        for folder in given.folders:
            with suppress(KeyboardInterrupt):
                train(folder, ranks, given.stop_after)
