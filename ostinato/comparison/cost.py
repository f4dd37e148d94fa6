"""What a trained model costs, measured in a process of its own with nothing else of ours running."""

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

LATENCIES = 200  # batches of one sequence
BATCHES = 30  # of 32 sequences
BATCH = 32
WARM_UP = 10
SECONDS = 1.0  # of prediction, at least
STEPS = 50  # of training, at most


def measure_cost(run: Path) -> dict[str, Any] | None:
    """Latency, throughput, memory and size of a finished run's model; None where its process died.

    - `parameters`, `file_bytes`
    - `latency_ms`: `p50` and `p99` of one test sequence at a time
    - `batch_ms`: the median of batches of 32 test sequences
    - `sequences_per_s`, `tokens_per_s`: of predicting the test split
    - `training_tokens_per_s`: of up to 50 training steps
    - `memory_mib`, `training_memory_mib`: the process's peak, libraries and data included, after predicting and after training
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(theirs, run), daemon=True)
    process.start()
    theirs.close()
    try:
        measured: dict[str, Any] = ours.recv()
    except EOFError:
        return None
    finally:
        process.terminate()  # it is done, or the measurement was interrupted
        process.join()
    return measured


def _measure(pipe: Connection, run: Path) -> None:
    import torch

    from ostinato.tasks.config import read_run_config
    from ostinato.tasks.model_file import load_model, model_file

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C goes to all: the parent decides
    config = read_run_config(run / "config.toml")
    model = load_model(run)
    task, network = model.task, model.network
    data = task.prepare(config.data)
    test, train = data.splits["test"], data.splits["train"]
    num_test, num_train = len(test.lengths), len(train.lengths)

    def milliseconds(size: int, count: int) -> np.ndarray:
        """Of batches of `size` test sequences, one after the other."""
        batches = [
            test.at(torch.arange(start, start + size) % num_test) for start in range(0, size * (count + WARM_UP), size)
        ]
        return np.array([1000 * _timed(partial(task.outputs, network, batch)) for batch in batches][WARM_UP:])

    one, many = milliseconds(1, LATENCIES), milliseconds(BATCH, BATCHES)
    repeats, seconds = 0, 0.0
    while seconds < SECONDS:
        seconds += _timed(lambda: task.outputs(network, test))
        repeats += 1
    memory = _peak_mib()
    short = config.model_copy(update={"training": config.training.model_copy(update={"max_epochs": 1})})

    def train_steps(steps: int) -> int:
        """Train for so many steps, or an epoch; returns the tokens seen."""
        sample = train.at(torch.arange(min(num_train, steps * config.training.batch_size)))
        task.fit(short, data, splits={"train": sample})
        return int(sample.lengths.sum())

    train_steps(WARM_UP)
    started = time.perf_counter()
    tokens = train_steps(STEPS)
    training_s = time.perf_counter() - started
    measured = {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "file_bytes": model_file(run).stat().st_size,
        "latency_ms": {"p50": float(np.quantile(one, 0.5)), "p99": float(np.quantile(one, 0.99))},
        "batch_ms": float(np.median(many)),
        "sequences_per_s": repeats * num_test / seconds,
        "tokens_per_s": repeats * int(test.lengths.sum()) / seconds,
        "training_tokens_per_s": tokens / training_s,
        "memory_mib": memory,
        "training_memory_mib": _peak_mib(),
    }
    with suppress(BrokenPipeError):  # nobody waits any more
        pipe.send(measured)


def _timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _peak_mib() -> float | None:
    """The process's largest resident memory; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
