"""Processes that train the runs of a comparison in parallel; the machine's threads are divided among them.

Each process trains one run after another and reuses prepared data where the next run has the same. An error that ends a
run (a loss that is not finite, too little memory, a killed process) becomes that run's outcome, and the others go on.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path

from ostinato.comparison.plan import Job
from ostinato.comparison.training import FAILURES, Outcome, reason_of, train_run
from ostinato.tasks import TASKS
from ostinato.tasks.records import TaskData

SECONDS_TO_STOP = 60


class Worker:
    """One process, and the job that it works on."""

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, threads), daemon=True)
        self.process.start()
        theirs.close()
        self.job: Job | None = None

    def start(self, job: Job, folder: Path, lengths: Sequence[int]) -> None:
        """Send the process a job."""
        self.job = job
        with suppress(BrokenPipeError):  # the process has died: `finish` reports how
            self.pipe.send((job.config, folder / job.folder, list(lengths)))

    def finish(self) -> Outcome:
        """Wait for the job to end."""
        assert self.job is not None
        job, self.job = self.job, None
        try:
            metrics, reason = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return Outcome(job, None, _cause_of_death(self.process.exitcode or 0))
        return Outcome(job, metrics, reason)

    def stop(self) -> None:
        """End the process: at once between two runs, after a checkpoint within one."""
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
    """Train the jobs in parallel and yield each outcome as soon as it is there.

    A process that dies is replaced. When the caller stops iterating, by an error or Ctrl-C, all processes stop after a
    checkpoint.

    Args:
        lengths: of the test sequences that each model is also tested on.
        processes: how many.
        threads: of each process.
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
                worker.start(waiting.pop(), folder, lengths)
            busy = {worker.pipe: worker for worker in workers if worker.job is not None}
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                outcome = worker.finish()
                if not worker.process.is_alive():
                    worker.stop()
                    workers.remove(worker)
                yield outcome
    finally:
        for worker in workers:  # all at once first: each may need time for a checkpoint
            if worker.process.is_alive():
                worker.process.terminate()
        for worker in workers:
            worker.stop()


def _cause_of_death(exit_code: int) -> str:
    if exit_code >= 0:
        return f"its process ended with status {exit_code}"
    cause = f"its process was killed by signal {-exit_code} ({signal.Signals(-exit_code).name})"
    return cause + (": the machine may have run out of memory" if exit_code == -signal.SIGKILL else "")


def _serve(pipe: Connection, threads: int) -> None:
    """Train the runs that come through the pipe, until it closes."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process: only the parent reacts
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    data: TaskData | None = None
    prepared = None  # the settings that these data depend on
    while True:
        try:
            config, folder, lengths = pipe.recv()
        except EOFError:
            return
        metrics, reason = None, None
        try:
            if data is None or prepared != (config.data, config.model.init):
                data, prepared = TASKS[config.task].prepare_for(config), (config.data, config.model.init)
            metrics = train_run(config, folder, lengths, data)
        except KeyboardInterrupt:
            return
        except FAILURES as error:
            reason = reason_of(error)
        pipe.send((metrics, reason))


def _end_with_parent() -> None:
    """Stop as on SIGTERM when the parent ends, so that nothing else writes into a folder that may be resumed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
