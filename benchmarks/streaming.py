"""Training on data larger than memory: the memory of the process, and the time for a token, against the size.

    python benchmarks/streaming.py                                     1e6 to 1e8 tokens; about half an hour
    python benchmarks/streaming.py --tokens 1000000 --json out.json    one size

For each size, a script writes Parquet files of texts of 50 to 350 words, drawn from 20,000 words by Zipf's law; three
of ten words of a text are drawn from the half of the words that belongs to its label. `ostinato train` then trains one
epoch of a GRU with 32 units on them: twice with the rows and tokens on disk (`data.stream`), so that the second finds
them there, and for sizes up to --in-memory also with all in memory. Each is a process of its own.

`peak` is the highest resident memory of the process (pages of files included) from its start to its end: reading,
training, and scoring the test split with its baselines. `preparing` is the time before the first step. `tokens/s` is
the rate of training. `weights` is their
digest: equal ones mean equal bits.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ostinato.config.memory import peak_bytes
from ostinato.progress import Progress
from ostinato.report.terminal import print_table
from ostinato.storage import digest_of, load_tensors, write_atomically
from ostinato.versions import environment

WORDS, SHORTEST, LONGEST = 20_000, 50, 350
ROWS_A_FILE = 100_000
WORKER = "STREAMING_WORKER"  # set in the processes that train
CONFIG = """\
task = "classification"

[data]
path = "{path}"
tokenizer = "words"
validation_size = 0.05
test_size = 0.05
min_count = 1
max_size = 20000
max_length = "none"

[model]
cell = "gru"
embedding_size = 32
hidden_size = 32
bidirectional = false
pooling = "mean"

[training]
max_epochs = 1
max_tokens = 16384
"""


def main(
    tokens: Annotated[list[int] | None, typer.Option(help="How many tokens; repeatable.")] = None,
    in_memory: Annotated[int, typer.Option(help="Train in memory, too, up to so many tokens.")] = 10_000_000,
    place: Annotated[Path | None, typer.Option(help="Where to write; by default a temporary folder.")] = None,
    out: Annotated[Path | None, typer.Option("--json", metavar="FILE")] = None,
) -> None:
    """Print memory and rate for each size."""
    found = []
    for size in tokens or (1_000_000, 10_000_000, 100_000_000):
        with tempfile.TemporaryDirectory(dir=place) as folder:
            started = time.monotonic()
            write_texts(Path(folder) / "texts", size)
            print(f"{size:,} tokens written in {time.monotonic() - started:.0f} s", file=sys.stderr)
            ways = {"on disk": "true", "on disk again": "true"} | ({"in memory": "false"} if size <= in_memory else {})
            for way, stream in ways.items():
                found.append({"tokens": size, "way": way, **measured(Path(folder), stream)})
                print(json.dumps(found[-1]), file=sys.stderr)
    rows = [
        (
            f"{each['tokens']:,}",
            each["way"],
            f"{each['peak_mb']:,.0f}",
            f"{each['preparing_s']:,.0f}",
            f"{each['tokens_per_s']:,.0f}",
            f"{each['disk_mb']:,.0f}",
            each["weights"][:8],
        )
        for each in found
    ]
    print_table(("tokens", "data", "peak MB", "preparing s", "tokens/s", "disk MB", "weights"), rows)
    if out is not None:
        write_atomically(out, json.dumps({**environment(), "runs": found}, indent=2) + "\n")


def write_texts(folder: Path, tokens: int) -> None:
    """Write Parquet files of labelled texts, about 100,000 rows each."""
    import pyarrow
    from pyarrow.parquet import write_table

    folder.mkdir()
    rng = np.random.default_rng(0)
    words = np.array([f"w{number}" for number in range(WORDS)], dtype=object)
    shares = 1 / np.arange(1, WORDS // 2 + 1)
    bounds = (shares / shares.sum()).cumsum()
    left, part = tokens, 0
    while left > 0:
        lengths = rng.integers(SHORTEST, LONGEST + 1, ROWS_A_FILE)
        lengths = lengths[: int(np.searchsorted(lengths.cumsum(), left)) + 1]
        left -= int(lengths.sum())
        labels = rng.integers(0, 2, len(lengths))
        ranks = np.searchsorted(bounds, rng.random(int(lengths.sum()))).clip(max=WORDS // 2 - 1)
        of_label = rng.random(len(ranks)) < 0.3
        half = np.where(of_label, np.repeat(labels, lengths), rng.integers(0, 2, len(ranks)))
        chosen = words[2 * ranks + half]
        texts = [" ".join(each) for each in np.split(chosen, lengths.cumsum()[:-1])]
        table = pyarrow.table({"text": texts, "label": np.where(labels, "odd", "even")})
        write_table(table, folder / f"{part:05}.parquet", row_group_size=10_000)
        part += 1


def measured(place: Path, stream: str) -> dict[str, Any]:
    """Train in a process of its own; its memory, times and weights."""
    config, run, cache = place / "config.toml", place / "run", place / "cache"
    config.write_text(CONFIG.format(path=place / "texts"), encoding="utf-8")
    shutil.rmtree(run, ignore_errors=True)
    command = [sys.executable, __file__, str(config), str(run), f"data.stream={stream}"]
    environ = os.environ | {WORKER: "1", "OSTINATO_CACHE": str(cache)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environ)
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    worker, seconds = json.loads(done.stdout), metrics["training"]["seconds"]
    return {
        "peak_mb": worker["peak_mb"],
        "preparing_s": worker["preparing_s"],
        "training_s": seconds,
        "tokens_per_s": round(worker["tokens"] / seconds),
        "disk_mb": round(sum(each.stat().st_size for each in cache.rglob("*") if each.is_file()) / 1e6),
        "accuracy": metrics["test"]["accuracy"],
        "linear": metrics["baselines"]["linear"]["accuracy"],
        "weights": digest_of(load_tensors(run / "model.safetensors").tensors, ""),
    }


class Clock(Progress):
    """Notes the first step, and counts the tokens of all."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.first_step = 0.0
        self.tokens = 0

    def step(self, share: float, tokens: int, loss: float) -> None:
        self.first_step = self.first_step or time.monotonic()
        self.tokens += tokens


def work(config: Path, run: Path, setting: str) -> None:
    """What a process of `measured` does."""
    from ostinato.runs import start_run
    from ostinato.tasks.config import override, read_config

    started, clock = time.monotonic(), Clock()
    start_run(override(read_config(config), [setting]), run, progress=clock)
    peak = peak_bytes() or 0
    preparing_s = round(clock.first_step - started, 1)
    print(json.dumps({"peak_mb": round(peak / 1e6), "preparing_s": preparing_s, "tokens": clock.tokens}))


if __name__ == "__main__":
    if WORKER in os.environ:
        work(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    else:
        typer.run(main)
