"""Functions timed side by side, on a machine that other programs may be using.

A round takes one sample of each side. Every second round runs in reverse order, so that a drift of the machine's speed
affects all sides alike. A fixed calculation runs on every core before and after each sample. If it takes longer than
`SLOW` times its fastest time, another program was running: the sample is dropped, and another round is taken.
"""

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ostinato.threads import thread_limit

SLOW = 1.25  # on an idle machine the calibration varies by 5 to 10 %
SETTLE_S = 0.01  # thread pools spin for a while after their work, and would slow down the next sample
SAMPLE_S = 0.02  # fast functions are repeated until a sample takes this long


class Side(NamedTuple):
    """One implementation of a row's work.

    Args:
        run: does the work once.
        answer: does the work once and returns outputs and gradients, in the same order for all sides of a row; a side
            may omit the last ones. None: nothing to compare.
        tokens: steps that one `run` processes; 0 if the work has no steps.
        scale: factor for the measured time, where `run` does only a part of the work.
        context: the context in which each sample is taken.
    """

    run: Callable[[], object]
    answer: Callable[[], Sequence[Tensor]] | None = None
    tokens: int = 0
    scale: float = 1.0
    context: Callable[[], AbstractContextManager[object]] = nullcontext


class Effort(NamedTuple):
    """How long to measure a row: as many rounds as `budget_s` allows, from `min_rounds` to `max_rounds`."""

    budget_s: float
    min_rounds: int
    max_rounds: int


FULL, QUICK = Effort(30.0, 5, 25), Effort(2.0, 1, 5)


class Clock(Protocol):
    """What `interleave` asks whether the machine is busy."""

    fastest: float

    def read(self) -> float:
        """Seconds that the calibration takes now."""


class Calibration:
    """A fixed calculation on each core; it takes longer while other programs use the machine.

    Attributes:
        fastest: the shortest time so far, in seconds.
    """

    def __init__(self) -> None:
        self._num_cores = min(torch.get_num_threads(), thread_limit().number)
        self._threads = ThreadPoolExecutor(self._num_cores)
        self._block = bytes(3 << 20)
        self.fastest = math.inf
        for _ in range(30):
            self.read()

    def read(self) -> float:
        """Seconds that the calculation takes now."""
        start = time.perf_counter()
        # hashing releases the interpreter's lock, and uses no library's thread pool
        for _ in self._threads.map(hashlib.sha256, [self._block] * self._num_cores):
            pass
        seconds = time.perf_counter() - start
        self.fastest = min(self.fastest, seconds)
        return seconds


class Sample(NamedTuple):
    """Seconds of one run, and of the calibration before and after it."""

    seconds: float
    before: float
    after: float

    def is_undisturbed(self, fastest: float) -> bool:
        """Whether the machine was idle, given the calibration's fastest time in seconds."""
        return max(self.before, self.after) <= SLOW * fastest


def interleave(
    sides: Mapping[str, Side], repeats: Mapping[str, int], rounds: int, calibration: Clock
) -> dict[str, list[Sample]]:
    """Take rounds until each side has `rounds` undisturbed samples, but at most three times as many."""
    samples: dict[str, list[Sample]] = {name: [] for name in sides}
    before = calibration.read()
    for attempt in range(3 * rounds):
        for name in sides if attempt % 2 == 0 else reversed(list(sides)):
            seconds = time_once(sides[name], repeats[name])
            time.sleep(SETTLE_S)
            after = calibration.read()
            samples[name].append(Sample(seconds, before, after))
            before = after
        undisturbed = [sum(each.is_undisturbed(calibration.fastest) for each in taken) for taken in samples.values()]
        if min(undisturbed) >= rounds:
            break
    return samples


def time_once(side: Side, repeats: int) -> float:
    """Seconds of one run, the mean over `repeats`."""
    time.sleep(SETTLE_S)
    with side.context():
        start = time.perf_counter()
        for _ in range(repeats):
            side.run()
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / repeats


def plan(sides: Mapping[str, Side], effort: Effort) -> tuple[dict[str, int], int]:
    """The repeats of each side in a sample, and the number of rounds, from a first timing of each side."""
    estimates = {name: estimate(side) for name, side in sides.items()}
    repeats = {name: max(1, math.ceil(SAMPLE_S / seconds)) for name, seconds in estimates.items()}
    round_s = sum(repeats[name] * seconds + 2 * SETTLE_S for name, seconds in estimates.items())
    return repeats, min(max(int(effort.budget_s / round_s), effort.min_rounds), effort.max_rounds)


def estimate(side: Side) -> float:
    """Seconds of one run; after a warm-up if the run is short."""
    first = time_once(side, 1)
    return first if first > 1.0 else min(time_once(side, 1) for _ in range(3))
