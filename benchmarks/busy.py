"""Trainings with the default number of threads and with one, alone and next to programs that use every core.

    python benchmarks/busy.py                    about five minutes on two cores
    python benchmarks/busy.py --only small --rounds 5 --json busy.json

Each training is the command `ostinato train`, in a process of its own. A round runs it with the default threads and
with OMP_NUM_THREADS=1, every second round in reverse order. A ratio is the default's time over one thread's, the median
over rounds: next to busy programs it should stay below 1.3.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from ostinato.errors import look_up
from ostinato.report.terminal import print_table
from ostinato.storage import write_atomically
from ostinato.threads import VARIABLES, num_cpus
from ostinato.versions import environment

# rows, mean length, words, and keys of the config
SIZES: dict[str, tuple[int, int, int, dict[str, Any]]] = {
    "small": (300, 20, 10, {"model.cell": "rnn", "model.hidden_size": 32, "training.max_epochs": 3}),
    "medium": (600, 60, 30, {"model.cell": "gru", "model.hidden_size": 32, "model.bidirectional": True}),
    "convolution": (600, 60, 30, {"model.cell": "cnn", "model.pooling": "max", "model.hidden_size": 64}),
    "large": (400, 200, 5000, {"model.hidden_size": 128, "model.num_layers": 2}),
}
LIMITS = (*VARIABLES, "GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "RAYON_NUM_THREADS")
ONE = {"OMP_NUM_THREADS": "1"}


def main(
    only: Annotated[list[str] | None, typer.Option(help="A size; repeat for several.")] = None,
    rounds: int = 3,
    out: Annotated[Path | None, typer.Option("--json", metavar="FILE")] = None,
) -> None:
    """Print one row for each size, alone and next to busy programs."""
    results: list[dict[str, Any]] = []
    for size in only or SIZES:
        look_up(SIZES, size, "size")
        for busy in (False, True):
            with tempfile.TemporaryDirectory() as folder, busy_programs(num_cpus() if busy else 0):
                results.append({"size": size, "busy": busy, **measure(size, Path(folder), rounds)})
                print(*cells(results[-1]), file=sys.stderr, flush=True)
    headings = ("training", "cores", "default s", "one thread s", "ratio", "whole command: ratio")
    print_table(headings, [cells(result) for result in results])
    if out is not None:
        write_atomically(out, json.dumps({**environment(), "rounds": rounds, "results": results}, indent=2) + "\n")


def measure(size: str, folder: Path, rounds: int) -> dict[str, Any]:
    """Seconds of the training and of the whole command, of both sides, and the ratios' medians."""
    write_rows(size, folder / "rows.csv")
    seconds: dict[str, list[tuple[float, float]]] = {"default": [], "one": []}
    for number in range(rounds):
        for side in ("default", "one") if number % 2 == 0 else ("one", "default"):
            seconds[side].append(train(size, folder, ONE if side == "one" else {}))
    pairs = list(zip(seconds["default"], seconds["one"], strict=True))
    return {
        **{side: median(training for training, _ in taken) for side, taken in seconds.items()},
        "ratio": median(ours[0] / one[0] for ours, one in pairs),
        "command_ratio": median(ours[1] / one[1] for ours, one in pairs),
        "samples": seconds,
    }


def train(size: str, folder: Path, limits: dict[str, str]) -> tuple[float, float]:
    """Seconds of the training, as the run records them, and of the whole command."""
    with tempfile.TemporaryDirectory(dir=folder) as run:
        config = Path(run) / "config.toml"
        settings = {"training.max_epochs": 1, **SIZES[size][3]}
        rows = json.dumps(str(folder / "rows.csv"))
        config.write_text(f'task = "classification"\n[data]\npath = {rows}\n', encoding="utf-8")
        command = [sys.executable, "-m", "ostinato", "train", str(config), "--out", str(Path(run) / "run")]
        command += [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]
        variables = {name: value for name, value in os.environ.items() if name not in LIMITS}
        started = time.monotonic()
        subprocess.run(command, env=variables | limits, check=True, capture_output=True)
        whole = time.monotonic() - started
        metrics = json.loads((Path(run) / "run" / "metrics.json").read_text(encoding="utf-8"))
    return float(metrics["training"]["seconds"]), whole


def write_rows(size: str, path: Path) -> None:
    """Texts of random words, labelled by how often a word occurs; the same in every call."""
    count, length, words, _ = SIZES[size]
    draw = random.Random(0)
    lines = ["text,label"]
    for _ in range(count):
        text = [draw.randrange(words) for _ in range(draw.randrange(length // 2, length * 3 // 2))]
        lines.append(" ".join(f"w{word}" for word in text) + f",{'ab'[text.count(0) * words > len(text)]}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def busy_programs(count: int) -> Iterator[None]:
    """Run programs that each keep a core busy inside the block."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def cells(result: dict[str, Any]) -> tuple[str, ...]:
    """A row of the table."""
    return (
        result["size"],
        "busy" if result["busy"] else "free",
        f"{result['default']:.2f}",
        f"{result['one']:.2f}",
        f"{result['ratio']:.2f}",
        f"{result['command_ratio']:.2f}",
    )


if __name__ == "__main__":
    typer.run(main)
