"""Data-parallel training: one process of one core, and two of one core each that torchrun starts.

    python benchmarks/scaling.py                                  about five minutes on two idle cores
    python benchmarks/scaling.py --rounds 1 --json out.json

Both train the textbook model on the reviews of `imdb-classic`, the same steps of 32 reviews: one process has all 32,
and each of two has 16. They take turns, in rounds, and each process is bound to one core. Seconds are those from the
fifth step on. `exchange` is what rank 0 spends in exchanging gradients and numbers, waiting for the other included.

The table for more machines is computed, not measured, for a batch that grows with their number N: 32 reviews each.
Then a step takes

    C · (1 + u) + 2 (N − 1) / N · 4 P / bandwidth + 2 (N − 1) · latency

where C is the step of one process alone, P the number of weights, and u the share that two processes lose here. As
their exchange is part of u, the table is cautious. The rest is a ring all-reduce of float32 numbers: each machine sends
and receives its share 2 (N − 1) times. The latency of a message is assumed to be 50 µs.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from ostinato.report.terminal import print_table
from ostinato.storage import write_atomically
from ostinato.versions import environment

ROWS, BATCH, WARM_UP = 1600, 32, 4
MACHINES = (2, 4, 8, 16, 32, 64, 128, 256)
GIGABITS = (1, 10, 100)
LATENCY_S = 50e-6  # of a message between two machines, assumed


def main(
    rounds: Annotated[int, typer.Option(help="How often each is measured.")] = 3,
    out: Annotated[Path | None, typer.Option("--json", metavar="FILE")] = None,
) -> None:
    """Print the speed-up of two processes, and what the model of costs predicts for more machines."""
    found: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    for _ in range(rounds):
        for size, results in found.items():
            results.append(measured(size))
    one, two = ({name: median(each[name] for each in found[size]) for name in found[size][0]} for size in sorted(found))
    rows = [
        ("1", f"{one['step'] * 1e3:.1f}", "", "", f"{one['loss']:.4f}"),
        (
            "2",
            f"{two['step'] * 1e3:.1f}",
            f"{one['step'] / two['step']:.2f}",
            f"{two['exchange'] / two['step']:.1%}",
            f"{two['loss']:.4f}",
        ),
    ]
    print_table(("processes", "ms a step", "speed-up", "exchange", "loss"), rows)
    wait = max(0.0, two["step"] / (one["step"] / 2) - 1)
    predictions = {
        machines: {gigabits: efficiency(machines, gigabits, one["step"], one["weights"], wait) for gigabits in GIGABITS}
        for machines in MACHINES
    }
    print(f"Efficiency of more machines, computed: {one['weights']:,.0f} weights, waiting {wait:.1%}.")
    print_table(
        ("machines", *(f"{each} Gbit/s" for each in GIGABITS)),
        [(str(machines), *(f"{each:.0%}" for each in row.values())) for machines, row in predictions.items()],
    )
    if out is not None:
        record = {**environment(), "measured": {str(size): each for size, each in found.items()}, "wait": wait}
        write_atomically(out, json.dumps(record | {"efficiency": predictions}, indent=2) + "\n")


def efficiency(machines: int, gigabits: float, step_s: float, weights: float, wait: float) -> float:
    """Examples per second of so many machines, by number of machines and relative to one."""
    sent_s = 2 * (machines - 1) / machines * 4 * weights / (gigabits * 1e9 / 8)
    return step_s / (step_s * (1 + wait) + sent_s + 2 * (machines - 1) * LATENCY_S)


def measured(size: int) -> dict[str, float]:
    """Train in `size` processes; what rank 0 measured."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={size}", __file__]
        environ = os.environ | {"OMP_NUM_THREADS": "1", "SCALING_OUT": str(path)}
        subprocess.run(command, env=environ, check=True, stderr=subprocess.DEVNULL)
        result: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
        return result


def work(out: Path) -> None:
    """What each process of `measured` does: an epoch, bound to one core."""
    from ostinato.tasks import TASKS
    from ostinato.tasks.config import override
    from ostinato.training.ranks import Ranks, joined_ranks

    size, rank = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[rank % len(cores)]})
    task = TASKS["classification"]
    settings = [f"training.batch_size={BATCH // size}", "training.max_epochs=1", f"data.train_size={ROWS}"]
    config = override(task.presets["imdb-classic"](), settings)
    data = task.prepare(config.data)
    config = task.settle(config, data)
    clock = Clock()
    with joined_ranks(os.environ) as ranks, timed_exchanges(Ranks, clock):
        only_train = {"train": data.splits["train"]}
        trained = task.fit(config, data, splits=only_train, ranks=ranks, progress=clock)
    if ranks.is_first:
        weights = sum(each.numel() for each in trained.network.parameters())
        loss = trained.state.history[-1]["train_loss"]
        out.write_text(json.dumps(clock.per_step() | {"weights": weights, "loss": loss}), encoding="utf-8")


class Clock:
    """Notes when steps end, where a training reports its progress, and the seconds of exchanges."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.exchanged = 0.0
        self.exchanged_before = 0.0

    @contextmanager
    def training(self, max_epochs: int, epoch: int) -> Any:
        yield

    def step(self, share: float, tokens: int, loss: float) -> None:
        self.ends.append(time.perf_counter())
        if len(self.ends) == WARM_UP:
            self.exchanged_before = self.exchanged

    def epoch(self) -> None:
        """Nothing to show."""

    def per_step(self) -> dict[str, float]:
        steps = len(self.ends) - WARM_UP
        seconds = self.ends[-1] - self.ends[WARM_UP - 1]
        return {"step": seconds / steps, "exchange": (self.exchanged - self.exchanged_before) / steps}


@contextmanager
def timed_exchanges(ranks: Any, clock: Clock) -> Any:
    """Add the seconds of `total` and `add_gradients` to the clock."""
    originals = {name: getattr(ranks, name) for name in ("total", "add_gradients")}

    def timed(original: Any) -> Any:
        def call(*arguments: Any) -> Any:
            start = time.perf_counter()
            try:
                return original(*arguments)
            finally:
                clock.exchanged += time.perf_counter() - start

        return call

    for name, original in originals.items():
        setattr(ranks, name, timed(original))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(ranks, name, original)


if __name__ == "__main__":
    if "SCALING_OUT" in os.environ:
        work(Path(os.environ["SCALING_OUT"]))
    else:
        typer.run(main)
