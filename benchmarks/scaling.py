"""Data-parallel training: one process of one core, and two of one core each that torchrun starts.

    python benchmarks/scaling.py                                  about two minutes on two idle cores
    python benchmarks/scaling.py --rounds 1 --json out.json

Both train the textbook model on the reviews of `imdb-classic`, the same steps of 32 reviews: one process has all 32,
and each of two has 16. `2 apart` are the same two without any exchange: the limit for two, since they share the caches
and the memory. They take turns, in rounds, and each process is bound to one core. Of each step, from the fifth on, the
quickest time of all rounds counts, so that other programs count little; the figures are means over the steps of rank 0.
`exchange` is what it spends in exchanging gradients and numbers, waiting for the other included. `processor` is its
processor time, without any waiting: the one figure to trust where other programs use the cores.

The table for more machines is computed, not measured, for a batch that grows with their number N: 32 reviews each.
Then a step takes

    C · (1 + u) + 2 (N − 1) / N · 4 G / bandwidth + 4 · 2 (N − 1) · latency

where C is the processor time of a step of one process, u the share of it that two processes lose here, and G the
numbers that are exchanged: all weights, but of the tokens' vectors only those of tokens in 32 N reviews, if they are
fewer than half. The work of exchanging is part of u; waiting for a slower machine is not in the model. The rest are
ring all-reduces of a step, one of G numbers and three of a few: in each, a machine sends and receives its share
2 (N − 1) times. The latency of a message is assumed: 50 µs.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Annotated, Any

import torch
import typer

from ostinato.report.terminal import print_table
from ostinato.storage import write_atomically
from ostinato.versions import environment

ROWS, BATCH, WARM_UP = 1600, 32, 4
REPEATS = 3  # trainings of a process
APART = "2 apart"
SIZES = {"1": 1, "2": 2, APART: 2}  # processes of each kind of measurement
MACHINES = (2, 4, 8, 16, 32, 64, 128, 256)
GIGABITS = (1, 10, 100)
LATENCY_S = 50e-6  # of a message between two machines, assumed
EXCHANGES = 4  # of a step: weights of examples, rows with a gradient, gradients, signals


def main(
    rounds: Annotated[int, typer.Option(help="How often each is measured.")] = 3,
    out: Annotated[Path | None, typer.Option("--json", metavar="FILE")] = None,
) -> None:
    """Print the speed-up of two processes, and what the model of costs predicts for more machines."""
    results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in SIZES}
    for _ in range(rounds):
        for kind, each in results.items():
            each.append(measured(kind))
    found = {kind: summary(each) for kind, each in results.items()}
    one = found["1"]["step"]
    rows = [
        (
            kind,
            f"{each['step'] * 1e3:.1f}",
            f"{one / each['step']:.2f}",
            f"{each['exchange'] / each['step']:.1%}",
            f"{each['processor'] * 1e3:.1f}",
            f"{found['1']['processor'] / each['processor']:.2f}",
            f"{each['loss']:.4f}",
        )
        for kind, each in found.items()
    ]
    print_table(("processes", "ms a step", "speed-up", "exchange", "ms of processor", "ratio", "loss"), rows)
    alone_s = found["1"]["processor"]
    lost = max(0.0, found["2"]["processor"] / (alone_s / 2) - 1)
    exchanged = {int(machines): numbers for machines, numbers in results["1"][0]["exchanged"].items()}
    predictions = {
        machines: {gigabits: efficiency(machines, gigabits, alone_s, numbers, lost) for gigabits in GIGABITS}
        for machines, numbers in exchanged.items()
    }
    print(f"Efficiency of more machines, computed: {lost:.1%} lost by two.")
    print_table(
        ("machines", "numbers exchanged", *(f"{each} Gbit/s" for each in GIGABITS)),
        [
            (str(machines), f"{exchanged[machines]:,}", *(f"{each:.0%}" for each in row.values()))
            for machines, row in predictions.items()
        ],
    )
    if out is not None:
        record = {**environment(), "measured": found, "lost": lost, "efficiency": predictions}
        write_atomically(out, json.dumps(record, indent=2) + "\n")


def summary(results: list[dict[str, Any]]) -> dict[str, float]:
    """Means over the steps of the quickest times of each, and the median of all steps."""
    quickest = {
        name: mean(map(min, zip(*(times for each in results for times in each[name]), strict=True)))
        for name in ("step", "exchange", "processor")
    }
    times = [seconds for each in results for steps in each["step"] for seconds in steps]
    return {**quickest, "median": median(times), "loss": results[0]["loss"]}


def efficiency(machines: int, gigabits: float, step_s: float, exchanged: float, lost: float) -> float:
    """Examples per second of so many machines, by number of machines and relative to one."""
    sent_s = 2 * (machines - 1) / machines * 4 * exchanged / (gigabits * 1e9 / 8)
    return step_s / (step_s * (1 + lost) + sent_s + EXCHANGES * 2 * (machines - 1) * LATENCY_S)


def measured(kind: str) -> dict[str, Any]:
    """Train as many processes as SIZES says; what rank 0 measured."""
    size = SIZES[kind]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={size}", __file__]
        environ = os.environ | {"OMP_NUM_THREADS": "1", "SCALING_OUT": str(path), "SCALING_KIND": kind}
        subprocess.run(command, env=environ, check=True, stderr=subprocess.DEVNULL)
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return result


def work(out: Path) -> None:
    """What each process of `measured` does: an epoch, bound to one core."""
    from ostinato.tasks import TASKS
    from ostinato.tasks.config import override
    from ostinato.training.ranks import joined_ranks

    size, rank = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[rank % len(cores)]})
    task = TASKS["classification"]
    settings = [f"training.batch_size={BATCH // size}", "training.max_epochs=1", f"data.train_size={ROWS}"]
    config = override(task.presets["imdb-classic"](), settings)
    data = task.prepare(config.data)
    config = task.settle(config, data)
    clocks = [Clock() for _ in range(REPEATS)]
    with joined_ranks(os.environ) as joined:
        only_train = {"train": data.splits["train"]}
        ranks = without_exchange(joined) if os.environ["SCALING_KIND"] == APART else joined
        for clock in clocks:
            with timed_exchanges(type(ranks), clock):
                trained = task.fit(config, data, splits=only_train, ranks=ranks, progress=clock)
    if ranks.is_first:
        facts = {
            "step": [per_step(clock.ends) for clock in clocks],
            "processor": [per_step(clock.processor) for clock in clocks],
            "exchange": [per_step(clock.exchanges) for clock in clocks],
            "loss": trained.state.history[-1]["train_loss"],
            "exchanged": numbers_exchanged(trained.network, data.splits["train"]),
        }
        out.write_text(json.dumps(facts), encoding="utf-8")


def without_exchange(ranks: Any) -> Any:
    """Ranks that divide batches, but each of which has its own sums, and trains its own weights."""
    from ostinato.training.ranks import Ranks

    class Apart(Ranks):
        def total(self, *numbers: float) -> list[float]:
            return list(numbers)

        def add_gradients(self, parameters: Any, loss: float) -> float:
            return loss

    return Apart(ranks.rank, ranks.size, ranks.steps)


def numbers_exchanged(network: Any, train: Any) -> dict[int, int]:
    """How many numbers a step of so many machines exchanges; all weights where the reviews are too few to tell."""
    weights = sum(each.numel() for each in network.parameters())
    table = network.embed.weight
    found = {}
    for machines in MACHINES:
        reviews = min(machines * BATCH, len(train.lengths))
        tokens = len(train.sequences.select(torch.arange(reviews)).values.unique())
        is_sparse = reviews == machines * BATCH and tokens < len(table) / 2
        found[machines] = weights - (len(table) - tokens) * table.shape[1] if is_sparse else weights
    return found


class Clock:
    """Notes when steps end, where a training reports its progress, and the seconds of exchanges."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.processor: list[float] = []  # seconds of processor time of this process, its threads included
        self.exchanged = 0.0
        self.exchanges: list[float] = []  # the sum at the end of each step

    @contextmanager
    def training(self, max_epochs: int, epoch: int) -> Any:
        yield

    def step(self, share: float, tokens: int, loss: float) -> None:
        self.ends.append(time.perf_counter())
        self.processor.append(time.process_time())
        self.exchanges.append(self.exchanged)

    def epoch(self) -> None:
        """Nothing to show."""


def per_step(sums: list[float]) -> list[float]:
    """The increase from one step to the next, after the first steps."""
    return [after - before for before, after in pairwise(sums[WARM_UP - 1 :])]


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
