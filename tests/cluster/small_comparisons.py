"""Small comparisons that several test files run on Ray."""

import re
import time

import pytest

from ostinato.cluster import connected
from ostinato.comparison.compare import run_comparison
from ostinato.comparison.options import make_plan
from ostinato.progress import Progress
from ostinato.tasks.config import PRESETS, override

SIZES = ["data.train_size=100", "data.validation_size=40", "data.test_size=60"]
SMALL = [*SIZES, "training.max_epochs=2", "training.device=cpu"]
LONG = [
    *SIZES,
    *("training.max_epochs=200", "training.patience=none", "training.checkpoint_every_s=0.2", "training.device=cpu"),
]


class Lines(Progress):
    """Collects what is said."""

    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def plan(settings=SMALL, vary=("model.cell=rnn,gru",), seeds="2"):
    return make_plan(override(PRESETS["majority"](), settings), vary, seeds=seeds)


def on_ray(plan, folder, on="ray"):
    progress = Lines()
    with connected(on, progress) as cluster:
        return run_comparison(plan, folder, cluster=cluster, progress=progress), progress.lines


def weights(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("model.safetensors"))}


def starts(folder):
    """How many times each run was started or resumed."""
    return [len(re.findall(r"^\S+ \$ ", log.read_text(), re.MULTILINE)) for log in folder.glob("runs/*/*/training.log")]


def wait_for_two_running(folder, pattern="runs/*/*", old=()):
    """Wait until two new runs have a checkpoint and no metrics yet."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        begun = [path.parents[1] for path in folder.glob(f"{pattern}/checkpoints/last.safetensors")]
        if len([run for run in begun if run not in old and not (run / "metrics.json").exists()]) == 2:
            return
        time.sleep(0.005)
    pytest.fail("two runs never trained at the same time")
