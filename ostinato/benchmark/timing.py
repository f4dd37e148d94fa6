"""Work timed side by side, on a machine that others may be using.

A round takes one sample of every side in turn, every second round in reverse order, so that drifts meet all sides alike.
Before and after each sample, arithmetic of known duration runs on every core that torch may use; where it takes longer
than `SLOW` times its quickest, something else was running: the sample is dropped, and a further round taken instead.
"""

import hashlib
import importlib.util
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from multiprocessing import get_context
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ostinato.errors import MissingExtraError, OstinatoError
from ostinato.report.terminal import print_table

SLOW = 1.25  # an undisturbed calibration varies by 5 to 10 %
SETTLE_S = 0.01  # thread pools spin for a while after their work, and would slow what comes next
SAMPLE_S = 0.02  # quick work is repeated until a sample is so long
CLOSE = 1e-4  # norm-relative: float32 sums over thousands of steps differ by less
MATMUL = 2048
HEADINGS = ("", "ms", "µs a token", "ratio to ours", "of matmul's rate", "samples", "dropped")


class DisagreementError(OstinatoError):
    """Two sides that should compute the same do not."""


class Side(NamedTuple):
    """One way of doing a row's work.

    Args:
        run: does it once.
        answer: does it once and returns outputs and gradients in the order that all sides share; may leave out the last.
        tokens: steps that one `run` works through; 0 where that means nothing.
        scale: what the measured time is multiplied by, for a `run` that does a share of the work.
        within: a context that each sample is taken in.
    """

    run: Callable[[], object]
    answer: Callable[[], Sequence[Tensor]] | None = None
    tokens: int = 0
    scale: float = 1.0
    within: Callable[[], AbstractContextManager[object]] = nullcontext


class Effort(NamedTuple):
    """How long to measure a row: rounds as fit into `budget_s`, within bounds."""

    budget_s: float
    least: int
    most: int


FULL, QUICK = Effort(30.0, 5, 25), Effort(2.0, 1, 5)


# ---- samples -------------------------------------------------------------------------------------------------------


class Calibration:
    """A fixed piece of arithmetic on each core; its readings tell whether the machine is busy."""

    def __init__(self) -> None:
        self._cores = min(torch.get_num_threads(), usable_cores())
        self._threads = ThreadPoolExecutor(self._cores)
        self._block = bytes(3 << 20)
        self.quickest = math.inf
        for _ in range(30):
            self.read()

    def read(self) -> float:
        """Seconds that the arithmetic takes now."""
        start = time.perf_counter()
        for _ in self._threads.map(
            hashlib.sha256, [self._block] * self._cores
        ):  # without the interpreter's lock, and in no thread pool of a peer's
            pass
        seconds = time.perf_counter() - start
        self.quickest = min(self.quickest, seconds)
        return seconds


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Sample(NamedTuple):
    """Seconds of one run, and of the calibration before and after it."""

    seconds: float
    before: float
    after: float

    def is_quiet(self, quickest: float) -> bool:
        return max(self.before, self.after) <= SLOW * quickest


def interleave(
    sides: Mapping[str, Side], repeats: Mapping[str, int], rounds: int, calibration: Calibration
) -> dict[str, list[Sample]]:
    """Take rounds until every side has `rounds` quiet samples, three times as many at most."""
    taken: dict[str, list[Sample]] = {name: [] for name in sides}
    before = calibration.read()
    for attempt in range(3 * rounds):
        for name in sides if attempt % 2 == 0 else reversed(list(sides)):
            seconds = time_once(sides[name], repeats[name])
            time.sleep(SETTLE_S)
            after = calibration.read()
            taken[name].append(Sample(seconds, before, after))
            before = after
        if all(
            sum(sample.is_quiet(calibration.quickest) for sample in samples) >= rounds for samples in taken.values()
        ):
            break
    return taken


def time_once(side: Side, repeats: int) -> float:
    """Seconds of one run, the mean over `repeats`."""
    time.sleep(SETTLE_S)
    with side.within():
        start = time.perf_counter()
        for _ in range(repeats):
            side.run()
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / repeats


def plan(sides: Mapping[str, Side], effort: Effort) -> tuple[dict[str, int], int]:
    """Repeats of each side in a sample, and the number of rounds; from a trial of each."""
    trials = {name: trial(side) for name, side in sides.items()}
    repeats = {name: max(1, math.ceil(SAMPLE_S / seconds)) for name, seconds in trials.items()}
    a_round = sum(repeats[name] * seconds + 2 * SETTLE_S for name, seconds in trials.items())
    return repeats, min(max(int(effort.budget_s / a_round), effort.least), effort.most)


def trial(side: Side) -> float:
    """Seconds of one run after a warm-up, where that is not too long."""
    first = time_once(side, 1)
    return first if first > 1.0 else min(time_once(side, 1) for _ in range(3))


# ---- rows ----------------------------------------------------------------------------------------------------------


@dataclass
class Timing:
    """The median of a side's quiet samples; of all of them, and `busy`, when none was quiet."""

    seconds: float
    tokens: int
    kept: int
    dropped: int
    busy: bool

    @classmethod
    def of(cls, samples: Sequence[Sample], quickest: float, side: Side) -> "Timing":
        quiet = [sample.seconds for sample in samples if sample.is_quiet(quickest)]
        seconds = median(quiet or [sample.seconds for sample in samples]) * side.scale
        return cls(seconds, side.tokens, len(quiet), len(samples) - len(quiet), not quiet)

    @property
    def us_per_token(self) -> float:
        return self.seconds / self.tokens * 1e6 if self.tokens else math.nan


@dataclass
class Goal:
    """A figure beside what it is to reach; None where it could not be measured."""

    figure: str
    value: float | None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def reached(self) -> bool | None:
        if self.value is None:
            return None
        return (
            self.value >= self.at_least
            if self.at_least is not None
            else self.at_most is None or self.value <= self.at_most
        )

    def __str__(self) -> str:
        wanted = "" if self.at_least is None else f"at least {self.at_least:g}"
        wanted += "" if self.at_most is None else f"at most {self.at_most:g}"
        verdict = {None: "not measured", True: "reached", False: "NOT REACHED"}[self.reached]
        return f"{self.figure}: {'–' if self.value is None else format(self.value, '.2f')}, {wanted}: {verdict}"


@dataclass
class Row:
    """One line of the table: its work, the sides' timings, how far they agree, and the goals.

    Args:
        flops: multiplications and additions in the matrix products of one run; 0 where not counted.
        worst_error: the largest norm-relative difference of an output or a gradient from ours.
        notes: what else there is to know: peers that are missing, work that was sampled.
    """

    name: str
    work: str
    timings: dict[str, Timing] = field(default_factory=dict)
    flops: float = 0.0
    worst_error: float | None = None
    goals: list[Goal] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def ratio(self, *against: str) -> float | None:
        """How many times as long as ours the quickest of `against` takes; None when none of them ran."""
        theirs = [self.timings[name].seconds for name in against if name in self.timings]
        return min(theirs) / self.timings["ours"].seconds if theirs and "ours" in self.timings else None

    def share_of_matmul(self, name: str) -> float | None:
        """A side's rate of arithmetic as a share of the matrix product's, measured in the same rounds."""
        if not self.flops or "matmul" not in self.timings or name == "matmul":
            return None
        return self.flops / self.timings[name].seconds / (2 * MATMUL**3 / self.timings["matmul"].seconds)

    def expect(self, *against: str, at_least: float) -> None:
        """Set a goal for the ratio to the quickest of `against`."""
        self.goals.append(Goal(f"ratio to {' or '.join(against)}", self.ratio(*against), at_least))

    def lines(self) -> Iterator[tuple[str, ...]]:
        """The timings as a table."""
        for name, timing in self.timings.items():
            share, ratio = self.share_of_matmul(name), None if name == "matmul" else self.ratio(name)
            yield (
                name + (" (machine busy)" if timing.busy else ""),
                f"{timing.seconds * 1e3:,.3f}",
                f"{timing.us_per_token:.3f}" if timing.tokens else "",
                "" if ratio is None else f"{ratio:.2f}",
                "" if share is None else f"{share:.0%}",
                str(timing.kept),
                str(timing.dropped),
            )


class Bench:
    """Measures rows, prints each as it comes, and keeps them."""

    def __init__(self, effort: Effort = FULL, device: str = "cpu") -> None:
        self.effort, self.device = effort, torch.device(device)
        self.calibration = Calibration()
        self.rows: list[Row] = []

    def compare(
        self, name: str, work: str, sides: Mapping[str, Side | None], *, flops: float = 0.0, matmul: bool = True
    ) -> Row:
        """Check that the sides agree, then time them in turn; a side that is None is missing here.

        Raises:
            DisagreementError: an output or a gradient differs from ours by more than `CLOSE`.
        """
        present = {name: side for name, side in sides.items() if side is not None}
        row = Row(name, work, flops=flops, worst_error=check_agreement(present))
        row.notes += [
            f"{name} is not installed; get it with: pip install 'ostinato[bench]'"
            for name in sides
            if name not in present
        ]
        if matmul:
            present["matmul"] = matmul_side(self.device)
        repeats, rounds = plan(present, self.effort)
        samples = interleave(present, repeats, rounds, self.calibration)
        row.timings = {
            name: Timing.of(taken, self.calibration.quickest, present[name]) for name, taken in samples.items()
        }
        if any(timing.busy for timing in row.timings.values()):
            row.notes.append("the machine was busy in all samples of a side: these figures are not to be quoted")
        return row

    def add(self, row: Row) -> None:
        """Print a row and keep it."""
        self.rows.append(row)
        print(f"\n{row.name}: {row.work}")
        if row.timings:
            print_table(HEADINGS, list(row.lines()))
        for name, value in row.figures.items():
            print(f"  {name}: {value:,.1f}")
        if row.worst_error is not None:
            print(f"  largest norm-relative difference: {row.worst_error:.1e}")
        for told in (*row.goals, *row.notes):
            print(f"  {told}")

    def skip(self, name: str, reason: str) -> None:
        """Say which row is left out, and why."""
        self.add(Row(name, "skipped", notes=[reason]))


def check_agreement(sides: Mapping[str, Side]) -> float | None:
    """The largest norm-relative difference of any side's answer from the first's; None when there is nothing to compare."""
    answers = {name: side.answer() for name, side in sides.items() if side.answer is not None}
    if len(answers) < 2:
        return None
    (first, mine), *others = answers.items()
    errors = {
        (name, place): relative_error(b, a)
        for name, theirs in others
        for place, (a, b) in enumerate(zip(mine, theirs, strict=False))
    }
    (name, place), worst = max(errors.items(), key=lambda item: item[1])
    if not worst <= CLOSE:
        raise DisagreementError(
            f"{name} and {first} differ by {worst:.1e} in tensor {place} of their answers. Expected at most {CLOSE:g}: mend one of them."
        )
    return worst


def relative_error(a: Tensor, b: Tensor) -> float:
    """The norm of the difference over the norm of `b`, in float64."""
    a, b = a.detach().double().cpu(), b.detach().double().cpu()
    assert a.shape == b.shape, f"shapes {tuple(a.shape)} and {tuple(b.shape)} cannot be compared"
    return float((a - b).norm() / b.norm().clamp(min=1e-30))


def matmul_side(device: torch.device) -> Side:
    """The machine's rate of arithmetic: a product of two matrices of 2,048 × 2,048."""
    a, b = torch.randn(MATMUL, MATMUL, device=device), torch.randn(MATMUL, MATMUL, device=device)
    out = torch.empty_like(a)

    def run() -> None:
        with torch.inference_mode():
            torch.matmul(a, b, out=out)

    return Side(run)


def products(gates: int, input_size: int, hidden_size: int, *, num_layers: int = 1, directions: int = 1) -> float:
    """Multiplications and additions a token in the matrix products of a forward; a training takes three times as many."""
    widths = [input_size] + [directions * hidden_size] * (num_layers - 1)
    return float(sum(2 * directions * gates * hidden_size * (width + hidden_size) for width in widths))


# ---- around the rows -----------------------------------------------------------------------------------------------


def optional(build: Callable[[], Side]) -> Side | None:
    """A peer's side, or None where its package is not installed."""
    try:
        return build()
    except MissingExtraError:
        return None


def need(package: str) -> None:
    """Refuse a peer whose package is not installed.

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(package, "bench", "This peer")


def in_subprocess(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)` in a fresh interpreter."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """So many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
