"""Several processes that share the socket; one that dies is started again.

The parent imports no PyTorch and runs no threads, so that it can fork at any time. It passes SIGTERM and SIGHUP on.
"""

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from ostinato.errors import ConfigError, OstinatoError
from ostinato.printable import visible_lines
from ostinato.threads import VARIABLES, thread_limit

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where prometheus_client shares the numbers of all workers
FAILED = 2  # exit status of a worker that cannot start
RESTART_AFTER_S = 0.5  # so that a worker that dies at once does not take the machine
SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class Parent(NamedTuple):
    """What a worker has of its parent: two pipes.

    Args:
        alive: readable once the parent is gone.
        ready: takes a byte once the worker answers; None if nobody waits for it.
    """

    alive: int
    ready: int | None


class Workers:
    """The worker processes.

    Args:
        count: how many.
        bound: the listening socket, which the workers accept from.
        work: the function that each worker runs; it returns when the worker should exit.
    """

    def __init__(self, count: int, bound: socket.socket, work: Callable[[socket.socket, Parent], None]) -> None:
        self.count, self.bound, self.work = count, bound, work
        self.running: set[int] = set()
        self.is_stopping = False
        self.status = 0
        self._alive = os.pipe()

    def run(self) -> int:
        """Keep the workers running until SIGTERM or SIGINT; returns the exit status.

        The first one starts alone, so that a model that cannot be loaded is reported once.

        Raises:
            ConfigError: the system cannot fork.
        """
        if not hasattr(os, "fork"):
            raise ConfigError(f"--workers {self.count}: this system cannot fork processes. Use --workers 1.")
        for number in SIGNALS:
            signal.signal(number, self._signalled)
        with tempfile.TemporaryDirectory(prefix="ostinato-serve-") as folder:
            os.environ[FOLDER] = folder
            if not self._start_first():
                self._wait(Path(folder))
            while len(self.running) < self.count and not self.is_stopping:
                self._start(None)
            while self.running:
                self._wait(Path(folder))
        return self.status

    def _start_first(self) -> bool:
        """Start the first worker, and wait until it answers; False if it died before."""
        ready, worker_ready = os.pipe()
        self._start(worker_ready)
        os.close(worker_ready)
        answers = os.read(ready, 1) != b""
        os.close(ready)
        return answers

    def _start(self, ready: int | None) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # the new process must not handle them as its parent does
        process = os.fork()
        if process == 0:
            os._exit(self._worker(Parent(self._alive[0], ready)))
        self.running.add(process)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _worker(self, parent: Parent) -> int:
        """The life of a worker; returns its exit status."""
        os.close(self._alive[1])
        for number in SIGNALS:  # until the worker has handlers of its own; it looks for changed models then
            signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        share = str(max(1, thread_limit().number // self.count))
        os.environ.update(dict.fromkeys((*VARIABLES, "RAYON_NUM_THREADS"), share))
        try:
            self.work(self.bound, parent)
        except OstinatoError as error:
            sys.stderr.write(f"Error: {visible_lines(str(error))}\n")
            return FAILED
        finally:
            sys.stderr.flush()
        return 0

    def _wait(self, folder: Path) -> None:
        """Wait for a worker to end, and start another in its place."""
        process, status = os.wait()
        self.running.discard(process)
        _forget_gauges(folder, process)
        code = os.waitstatus_to_exitcode(status)
        if self.is_stopping:
            return
        if code == FAILED:
            self.status = FAILED
            self._stop()
            return
        sys.stderr.write(f"Worker {process} ended with {code}; another one starts.\n")
        time.sleep(RESTART_AFTER_S)
        if not self.is_stopping:
            self._start(None)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._tell(signal.SIGHUP)
        else:
            self._stop()

    def _stop(self) -> None:
        self.is_stopping = True
        self.bound.close()
        self._tell(signal.SIGTERM)

    def _tell(self, number: signal.Signals) -> None:
        for process in self.running:
            os.kill(process, number)


def _forget_gauges(folder: Path, process: int) -> None:
    """Remove what a dead worker's gauges showed; its counters stay."""
    for file in folder.glob(f"gauge_live*_{process}.db"):
        file.unlink(missing_ok=True)
