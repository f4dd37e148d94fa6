"""Processes that train the runs of a comparison side by side, the machine's threads divided among them.

Each process takes one run after the other and keeps prepared data for the next. What a run cannot survive (a loss that
is not finite, memory that does not suffice, a process that is killed) is that run's result; the others go on.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

from ostinato.comparison.plan import Job
from ostinato.config import Config
from ostinato.errors import OstinatoError

SECONDS_TO_STOP = 60


class Outcome(NamedTuple):
    """A job that ended: its figures, or why there are none."""

    job: Job
    figures: dict[str, Any] | None
    reason: str | None


class Worker:
    """One process, and the job that it is at."""

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, threads), daemon=True)
        self.process.start()
        theirs.close()
        self.job: Job | None = None

    def give(self, job: Job, folder: Path, lengths: Sequence[int]) -> None:
        self.job = job
        with suppress(BrokenPipeError):  # it has died: `take` will say how
            self.pipe.send((job.config, folder / job.folder, list(lengths)))

    def take(self) -> Outcome:
        """What became of the job."""
        assert self.job is not None
        job, self.job = self.job, None
        try:
            figures, reason = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode or 0
            how = (
                f"was killed by signal {-code} ({signal.Signals(-code).name})"
                if code < 0
                else f"ended with status {code}"
            )
            return Outcome(
                job, None, f"its process {how}" + (": memory may not have sufficed" if code == -signal.SIGKILL else "")
            )
        return Outcome(job, figures, reason)

    def stop(self) -> None:
        """End it: between two runs at once, within one after a checkpoint."""
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(SECONDS_TO_STOP)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.pipe.close()


def train_all(
    jobs: Sequence[Job], folder: Path, lengths: Sequence[int], *, processes: int, threads: int
) -> Iterator[Outcome]:
    """Train the jobs in `processes` processes of `threads` threads each; outcomes come as they are ready.

    A process that dies is replaced. When the caller stops asking, by an error or Ctrl-C, all processes are stopped after
    a checkpoint.
    """
    waiting = list(reversed(jobs))
    workers: list[Worker] = []
    try:
        while waiting or any(worker.job is not None for worker in workers):
            idle = [worker for worker in workers if worker.job is None]
            while waiting and (idle or len(workers) < processes):
                worker = idle.pop() if idle else Worker(threads)
                if worker not in workers:
                    workers.append(worker)
                worker.give(waiting.pop(), folder, lengths)
            busy = {worker.pipe: worker for worker in workers if worker.job is not None}
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                outcome = worker.take()
                if not worker.process.is_alive():
                    worker.stop()
                    workers.remove(worker)
                yield outcome
    finally:
        for worker in workers:
            if worker.process.is_alive():
                worker.process.terminate()
        for worker in workers:
            worker.stop()


def _serve(pipe: Connection, threads: int) -> None:
    """Train what comes through the pipe, until it closes."""
    import torch

    from ostinato.tasks import TASKS
    from ostinato.tasks.base import TaskData

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C goes to all: the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    data: TaskData | None = None
    while True:
        try:
            config, folder, lengths = pipe.recv()
        except EOFError:
            return
        figures, reason = None, None
        try:
            if data is None or data.config != config.data:
                data = TASKS[config.task].prepare(config.data)
            figures = train_one(config, folder, lengths, data)
        except KeyboardInterrupt:
            return
        except (
            OstinatoError,
            MemoryError,
            OSError,
            RuntimeError,
        ) as error:  # PyTorch says RuntimeError where memory does not suffice
            reason = str(error) or type(error).__name__
        pipe.send((figures, reason))


def _end_with_parent() -> None:
    """Stop as by SIGTERM when the parent is no more, so that nothing else writes where a resumed comparison does."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def train_one(config: Config, folder: Path, lengths: Sequence[int], data: Any) -> dict[str, Any]:
    """Train a run, or go on with it, and test it at other lengths too. Returns its figures, `lengths` among them."""
    from ostinato.comparison.lengths import test_at_lengths
    from ostinato.runs import resume_run
    from ostinato.runs.folder import create_run

    if not (folder / "config.toml").exists():
        create_run(config, folder)
    figures = resume_run(folder, data=data)
    return {**figures, "lengths": test_at_lengths(folder, config, lengths, data)} if lengths else figures
