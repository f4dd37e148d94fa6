"""Training one candidate within its share of the time."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ostinato.config import Config, to_toml
from ostinato.errors import ConfigError, TrainingError
from ostinato.evaluation.results import Metrics
from ostinato.portfolio.plan import CANDIDATES, Attempt
from ostinato.progress import Progress, TimeLeft
from ostinato.runs.folder import CONFIG
from ostinato.runs.training import identity_of
from ostinato.storage import make_subfolder, write_atomically
from ostinato.tasks.base import Task
from ostinato.tasks.config import read_run_config
from ostinato.tasks.records import Candidate, Model, TaskData, Trained
from ostinato.training import Examples

Clock = Callable[[], float]

FAILURES = (TrainingError, ConfigError, MemoryError, RuntimeError)  # RuntimeError: PyTorch is out of memory
WARM_UP_ROWS, WARM_UP_SCORED = 8, 512
MEASURED = 0.15  # at most this share of a candidate's time measures its speed
PLANNED = 0.85  # epochs are planned for this share of it, because speed varies
TOLERATED = 1.25  # the clock stops a training at this multiple of it
WITH_VALIDATION = 1.15  # an epoch with its validation, relative to the training steps alone


class _Stopwatch(Progress):
    """Records when each step of an epoch ended, as (share of the epoch, seconds)."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(quiet=True)
        self.clock = clock
        self.steps: list[tuple[float, float]] = []

    def step(self, share: float, tokens: int, loss: float) -> None:
        self.steps.append((share, self.clock()))

    @property
    def seconds(self) -> float:
        """Seconds since the first step, which is slower than the others."""
        return self.steps[-1][1] - self.steps[0][1]

    @property
    def seconds_per_epoch(self) -> float:
        """Extrapolated from at least two steps."""
        (first, _), (last, _) = self.steps[0], self.steps[-1]
        return self.seconds / (last - first) * WITH_VALIDATION


class Speed(NamedTuple):
    """Seconds before the first epoch, and seconds of an epoch with its validation."""

    start: float
    epoch: float

    def epochs(self, seconds: float) -> int:
        """How many epochs fit into these seconds."""
        return int((seconds - self.start) / max(self.epoch, 1e-9))


@dataclass(frozen=True)
class Trainer:
    """Trains candidates on the same data.

    Args:
        folder: of the run.
        metric: the name of the validation metric that decides.
        stop_requested: whether the user wants to stop.
        clock: seconds from any start.
    """

    folder: Path
    task: Task
    data: TaskData
    metric: str
    progress: Progress
    stop_requested: Callable[[], bool] = lambda: False
    clock: Clock = time.monotonic

    def time_left(self, seconds: float) -> TimeLeft:
        """What is left of so many seconds from now; raises KeyboardInterrupt at `stop_requested`."""
        end = self.clock() + seconds

        def left() -> float:
            if self.stop_requested():
                raise KeyboardInterrupt
            return end - self.clock()

        return left

    def speed(self, config: Config, limit_s: float, start_s: float) -> Speed:
        """Measure the duration of an epoch, or extrapolate it from the steps of `limit_s` seconds, at least two.

        Args:
            start_s: the longest that what precedes the first step may take.

        Raises:
            KeyboardInterrupt: `stop_requested`.
            OutOfTimeError: the first step comes later than `start_s`.
            TrainingError, ConfigError, RuntimeError: as in training.
        """
        started, stopwatch = self.clock(), _Stopwatch(self.clock)

        def is_over() -> bool:
            return self.stop_requested() or (len(stopwatch.steps) > 1 and stopwatch.seconds > limit_s)

        try:
            self.task.fit(
                with_epochs(config, 1),
                self.data,
                progress=stopwatch,
                stop_requested=is_over,
                time_left=self.time_left(start_s),
            )
        except KeyboardInterrupt:
            if self.stop_requested():
                raise
            return Speed(stopwatch.steps[0][1] - started, stopwatch.seconds_per_epoch)
        if len(stopwatch.steps) > 1:
            return Speed(stopwatch.steps[0][1] - started, self.clock() - stopwatch.steps[0][1])
        return Speed(0.0, self.clock() - started)

    def warm_up(self, candidate: Candidate) -> None:
        """Train on a few rows. The first training of a process imports and prepares what later ones share.

        Raises:
            KeyboardInterrupt: `stop_requested`.
        """
        config = with_epochs(candidate.config, 1)
        splits = {"train": _some(self.data.splits["train"], WARM_UP_ROWS)}
        splits["validation"] = _some(self.data.splits["validation"], WARM_UP_SCORED)
        with suppress(*FAILURES):  # it fails again when it is tried, and is recorded then
            self.task.fit(config, self.data, splits=splits, stop_requested=self.stop_requested)

    def _score(self, config: Config, trained: Trained) -> Metrics:
        """The metrics of the validation split."""
        model = Model(self.task, config, self.data.encoder, self.data.codec, trained.network)
        rows, examples = self.data.rows["validation"], self.data.splits["validation"]
        return self.task.score(model, rows, examples, trained.validation)

    def train(self, candidate: Candidate, session: int, stage: int, config: Config, limit_s: float) -> Attempt:
        """Train and score a candidate; resumes from its checkpoint if there is one.

        Args:
            config: that of the candidate, with the planned number of epochs.
            limit_s: its share of the time.

        Raises:
            KeyboardInterrupt: `stop_requested`; after a checkpoint.
            OutOfTimeError: its first step would come after its share of the time.
        """
        started, place = self.clock(), self.folder / CANDIDATES / f"{candidate.name}-{session}-{stage}"
        self.progress.prefix = f"{candidate.name}: "
        make_subfolder(place)
        write_atomically(place / CONFIG, to_toml(config))
        cap, is_stopped = candidate.config.training.max_epochs, False
        judged: list[float] = []  # when

        def out_of_time() -> bool:
            nonlocal is_stopped
            is_stopped = self.clock() - started > TOLERATED * limit_s
            return is_stopped

        trained = self.task.fit(
            config,
            self.data,
            folder=place,
            identity=identity_of(self.folder, config, self.data),
            progress=self.progress,
            on_epoch=lambda state: judged.append(self.clock()),
            stop_requested=self.stop_requested,
            out_of_time=out_of_time,
            time_left=self.time_left(TOLERATED * limit_s),
        )
        seconds, epochs = self.clock() - started, trained.state.epoch
        metrics = self._score(config, trained)
        ended_early = candidate.is_linear or (epochs < config.training.max_epochs and not is_stopped)
        return Attempt(
            session=session,
            stage=stage,
            name=candidate.name,
            score=getattr(metrics, self.metric),
            interval=metrics.intervals.get(self.metric),
            epochs=epochs,
            seconds=self.clock() - started,
            seconds_per_epoch=(judged[-1] - judged[0]) / (len(judged) - 1) if len(judged) > 1 else seconds,
            parameters=sum(each.numel() for each in trained.network.parameters()),
            complete=ended_early or epochs >= cap,
            problem=None,
        )


def _some(examples: Examples, count: int) -> Any:
    """At most so many examples, evenly spaced."""
    rows = len(examples.lengths)
    return examples.at(torch.arange(0, rows, max(math.ceil(rows / count), 1)))


def failed(candidate: Candidate, session: int, stage: int, seconds: float, error: BaseException) -> Attempt:
    """The record of a training that failed."""
    return Attempt(
        session=session,
        stage=stage,
        name=candidate.name,
        score=None,
        interval=None,
        epochs=0,
        seconds=seconds,
        seconds_per_epoch=0.0,
        parameters=None,
        complete=True,
        problem=str(error) or type(error).__name__,
    )


def with_epochs(config: Config, epochs: int) -> Config:
    """The config with another number of epochs."""
    return config.model_copy(update={"training": config.training.model_copy(update={"max_epochs": epochs})})


def planned_config(folder: Path, key: str) -> Config | None:
    """The config of an attempt that was interrupted; None if it was not begun."""
    path = folder / CANDIDATES / key / CONFIG
    return read_run_config(path) if path.exists() else None
