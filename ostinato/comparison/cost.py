"""What a trained model costs, measured in a process of its own while no run is training."""

import multiprocessing
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ostinato.comparison.results import Cost, Latency
from ostinato.config import Config
from ostinato.config.memory import peak_bytes
from ostinato.tasks.records import Model, TaskData

if TYPE_CHECKING:
    from ostinato.training import Examples

NUM_SINGLE = 200  # batches of one sequence
NUM_BATCHES = 30  # batches of BATCH sequences
BATCH = 32
WARM_UP = 10  # batches or steps
MIN_SECONDS = 1.0  # of predicting the test split
MAX_STEPS = 50  # of training


def measure_cost(run: Path) -> Cost | None:
    """Measure latency, throughput, memory and size of a finished run's model; None if the measuring process died."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(theirs, run), daemon=True)
    process.start()
    theirs.close()
    try:
        cost: Cost = ours.recv()
    except EOFError:
        return None
    finally:
        process.terminate()  # it has finished, or the caller was interrupted
        process.join()
    return cost


def _measure(pipe: Connection, run: Path) -> None:
    """Load the model, measure, and send the costs through the pipe."""
    from ostinato.tasks.config import read_run_config
    from ostinato.tasks.model_file import load_model, model_file

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process: only the parent reacts
    config = read_run_config(run / "config.toml")
    model = load_model(run)
    data = model.task.prepare_for(config)
    test = data.splits["test"]
    single = _milliseconds(model, test, 1, NUM_SINGLE)
    batches = _milliseconds(model, test, BATCH, NUM_BATCHES)
    splits_per_s = _splits_per_s(model, test)
    memory = _peak_mib()
    training_rate = _training_tokens_per_s(model, config, data)
    cost = Cost(
        parameters=sum(parameter.numel() for parameter in model.network.parameters()),
        file_bytes=model_file(run).stat().st_size,
        latency_ms=Latency(p50=float(np.quantile(single, 0.5)), p99=float(np.quantile(single, 0.99))),
        batch_ms=float(np.median(batches)),
        sequences_per_s=splits_per_s * len(test.lengths),
        tokens_per_s=splits_per_s * int(test.lengths.sum()),
        training_tokens_per_s=training_rate,
        memory_mib=memory,
        training_memory_mib=_peak_mib(),
    )
    with suppress(BrokenPipeError):  # the caller was interrupted
        pipe.send(cost)


def _milliseconds(model: Model, examples: "Examples", size: int, count: int) -> np.ndarray:
    """The time of each of `count` batches of `size` consecutive examples, after a warm-up."""
    import torch

    starts = range(0, size * (count + WARM_UP), size)
    batches = [examples.at(torch.arange(start, start + size) % len(examples.lengths)) for start in starts]
    seconds = [_timed(partial(model.task.outputs, model.network, batch)) for batch in batches]
    return 1000 * np.array(seconds[WARM_UP:])


def _splits_per_s(model: Model, examples: "Examples") -> float:
    """How often a second the model can predict all examples."""
    repeats, seconds = 0, 0.0
    while seconds < MIN_SECONDS:
        seconds += _timed(lambda: model.task.outputs(model.network, examples))
        repeats += 1
    return repeats / seconds


def _training_tokens_per_s(model: Model, config: Config, data: TaskData) -> float:
    """Tokens a second of training a fresh network for up to `MAX_STEPS` steps, after a warm-up."""
    import torch

    train = data.splits["train"]
    one_epoch = config.model_copy(update={"training": config.training.model_copy(update={"max_epochs": 1})})

    def train_steps(steps: int) -> int:
        """Train for some steps, at most an epoch. Returns the number of tokens."""
        sample = train.at(torch.arange(min(len(train.lengths), steps * config.training.batch_size)))
        model.task.fit(one_epoch, data, splits={"train": sample})
        return int(sample.lengths.sum())

    train_steps(WARM_UP)
    started = time.perf_counter()
    tokens = train_steps(MAX_STEPS)
    return tokens / (time.perf_counter() - started)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _peak_mib() -> float | None:
    """The process's peak resident memory; None where the system does not report it."""
    peak = peak_bytes()
    return None if peak is None else peak / 2**20
