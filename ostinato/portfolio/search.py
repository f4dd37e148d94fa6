"""Successive halving on the validation split: all candidates shortly, the better third longer, the best to the end.

In the last stage the best candidate gets all of the time; what it leaves goes to the next one.

Source: Jamieson & Talwalkar (2016), Non-stochastic best arm identification and hyperparameter optimization.
"""

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ostinato.config import Config
from ostinato.errors import OutOfTimeError
from ostinato.portfolio.plan import (
    CANDIDATES,
    Attempt,
    Plan,
    choose,
    has_weights,
    is_beaten,
    is_lost,
    ranked,
    read_attempts,
    write_attempts,
)
from ostinato.portfolio.trial import FAILURES, MEASURED, PLANNED, Speed, Trainer, failed, planned_config, with_epochs
from ostinato.report.wording import counted, enumerate_labels, metric_name
from ostinato.runs.leaderboard import LEADERBOARD, Entry, Leaderboard
from ostinato.runs.log import Log
from ostinato.storage import FORMAT, make_subfolder
from ostinato.tasks.records import Candidate


class Stage(NamedTuple):
    """A stage of a session.

    Args:
        title: for the lines that people see.
        until: the share of the session's time at which it ends.
    """

    title: str
    until: float


STAGES = (Stage("first look", 0.25), Stage("best third", 0.52), Stage("final", 0.92))  # the rest: scoring
THIRD = 3
LINEAR, LINEAR_S = 0.4, 5.0  # a linear model, which others start from, may take this share of the time, or seconds
STARTING = 0.5  # of what a stage has left: the longest that a candidate may take before its first step
FEWEST = 0.1  # of a candidate's full number of epochs; fewer say little about it
WORTHWHILE = 1.5  # train again only with at least this multiple of the epochs, or with all of them


class Budget:
    """The time of a session.

    Args:
        seconds: the total.
        used: what was used before an interruption.
    """

    def __init__(self, trainer: Trainer, seconds: float, used: float) -> None:
        self.clock, self.seconds, self.started = trainer.clock, seconds, trainer.clock() - used

    def left(self, share: float = 1.0) -> float:
        """Seconds until a share of the total is used."""
        return self.started + share * self.seconds - self.clock()


@dataclass
class Search:
    """A session of a search, from its first candidate or from where it was interrupted.

    Args:
        candidates: the simplest first.

    Attributes:
        left_out: why a candidate was not trained.
        starts_s: how long candidates take before their first step that are too slow for the time so far.
    """

    folder: Path
    plan: Plan
    trainer: Trainer
    candidates: Sequence[Candidate]
    budget: Budget
    log: Log
    attempts: list[Attempt] = field(init=False)
    speeds: dict[str, Speed] = field(init=False, default_factory=dict)
    left_out: dict[str, str] = field(init=False, default_factory=dict)
    starts_s: dict[str, float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.attempts = read_attempts(self.folder)
        self.metric = self.trainer.task.metrics[self.trainer.metric]
        self.names = [each.name for each in self.candidates]

    @property
    def trainings(self) -> list[Attempt]:
        """The attempts without ensembles."""
        return [each for each in self.attempts if not each.members]

    def run(self) -> None:
        """Go through the stages.

        Raises:
            KeyboardInterrupt: the user wants to stop; finished attempts are saved, the current one has a checkpoint.
        """
        make_subfolder(self.folder / CANDIDATES)
        for number, stage in enumerate(STAGES):
            pending = self._pending(number)
            for position, candidate in enumerate(pending):
                sharing = 1 if stage == STAGES[-1] else len(pending) - position
                limit_s = self.budget.left(stage.until) / sharing
                if limit_s <= 0 and self.best() is not None:
                    break
                self._try(candidate, number, max(limit_s, 0.0))

    def best(self) -> Attempt | None:
        """The attempt to keep: the best, or the simplest of those equal within noise."""
        usable = [each for each in self.attempts if has_weights(self.folder, each, self.plan)]
        return choose(usable, self.names, self.metric)

    def _pending(self, stage: int) -> list[Candidate]:
        """The candidates that a stage has still to train, in order; it depends on earlier stages alone."""
        now = (self.plan.session, stage)
        before = [each for each in self.trainings if (each.session, each.stage) < now]
        complete = {each.name for each in before if each.complete}
        order = [name for name in self._order(before) if name not in complete]
        if stage == 0:
            order.sort(key=self.names.index)
        elif stage < len(STAGES) - 1:
            order = order[: math.ceil(len(self.names) / THIRD)]
        done = {each.name for each in self.attempts if (each.session, each.stage) == now}
        return [self.candidates[self.names.index(name)] for name in order if name not in done]

    def _order(self, before: Sequence[Attempt]) -> list[str]:
        """The names of the candidates, the most promising first: untried ones stand before those clearly beaten."""
        leaders, favourite = ranked(before, self.metric), choose(before, self.names, self.metric)
        if favourite is None:
            return self.names
        beaten = {each.name for each in leaders if is_beaten(each, leaders[0], self.metric)}
        hopeful = [each.name for each in leaders if each.name not in beaten]
        untried = [name for name in self.names if name not in {each.name for each in leaders}]
        return list(dict.fromkeys([favourite.name, *hopeful, *untried, *(each.name for each in leaders)]))

    def _try(self, candidate: Candidate, stage: int, limit_s: float) -> None:
        """Train a candidate if there is time for more epochs than it has had.

        Args:
            limit_s: its part of the time.
        """
        started, session = self.trainer.clock(), self.plan.session
        try:
            config = planned_config(self.folder, f"{candidate.name}-{session}-{stage}")
            if config is None:
                planned = self._plan(candidate, stage, limit_s)
                if planned is None:
                    return
                config, limit_s = planned
            attempt = self.trainer.train(candidate, session, stage, config, limit_s)
        except OutOfTimeError as error:
            self.starts_s[candidate.name] = error.needed_s
            self._leave_out(candidate, error.needed_s, "before its first epoch")
            return
        except FAILURES as error:
            attempt = failed(candidate, session, stage, self.trainer.clock() - started, error)
        attempt = attempt.model_copy(update={"seconds": round(self.trainer.clock() - started, 3)})
        self.record(attempt, STAGES[stage].title)

    def record(self, attempt: Attempt, title: str) -> None:
        """Save an attempt, and remove the weights of those that it beats.

        Args:
            title: of the stage.
        """
        self.attempts.append(attempt)
        write_attempts(self.folder, self.attempts)
        self.leaderboard().write(self.folder / LEADERBOARD)
        self._remove_beaten()
        self.log.say(self._line(attempt, title))

    def _plan(self, candidate: Candidate, stage: int, limit_s: float) -> tuple[Config, float] | None:
        """The candidate's config with the epochs that fit into its part of the time, and that part.

        For the fewest epochs that are worthwhile it may take more, up to all that the stage has left. None if even
        this is not enough.
        """
        left_s = self.budget.left(STAGES[stage].until)
        if candidate.is_linear:
            return candidate.config, max(limit_s, self.budget.left(LINEAR), LINEAR_S)
        if self.starts_s.get(candidate.name, 0.0) > STARTING * left_s:
            return None
        most, speed = candidate.config.training.max_epochs, self._speed(candidate, limit_s, STARTING * left_s)
        had = max((each.epochs for each in self._earlier(candidate)), default=0)
        fewest = max(math.ceil(FEWEST * most), min(math.ceil(WORTHWHILE * had), most))
        needed_s = (speed.start + fewest * speed.epoch) / PLANNED
        left_s = self.budget.left(STAGES[stage].until)
        if needed_s <= left_s:
            epochs = min(max(speed.epochs(PLANNED * limit_s), fewest), most)
            return with_epochs(candidate.config, epochs), max(limit_s, needed_s)
        if self.best() is None:
            return with_epochs(candidate.config, 1), limit_s
        self._leave_out(candidate, needed_s, f"for {counted(fewest, 'epoch')}")
        return None

    def _leave_out(self, candidate: Candidate, needed_s: float, what: str) -> None:
        """Say why a candidate is not trained in this stage."""
        self.left_out[candidate.name] = f"too slow for this time: it needs about {needed_s:.1f} s {what}"
        self.log.say(f"{candidate.name}: left out for now, {self.left_out[candidate.name]}.")

    def _speed(self, candidate: Candidate, limit_s: float, start_s: float) -> Speed:
        """From the candidate's last attempt, else measured once.

        Raises:
            OutOfTimeError: its first step would come later than `start_s`.
        """
        earlier = self._earlier(candidate)
        if earlier:
            last = earlier[-1]
            return Speed(max(last.seconds - last.epochs * last.seconds_per_epoch, 0.0), last.seconds_per_epoch)
        if candidate.name not in self.speeds:
            self.speeds[candidate.name] = self.trainer.speed(candidate.config, MEASURED * limit_s, start_s)
        return self.speeds[candidate.name]

    def _earlier(self, candidate: Candidate) -> list[Attempt]:
        return [each for each in self.attempts if each.name == candidate.name]

    def _remove_beaten(self) -> None:
        """Remove the weights of attempts that can no longer be chosen."""
        lost = [each for each in self.attempts if is_lost(each, self.attempts, self.metric)]
        averaged = {key for each in self.attempts if each not in lost for key in each.members}
        for each in lost:
            place = self.folder / CANDIDATES / each.key
            if place.exists() and each.key not in averaged:
                shutil.rmtree(place)

    def _line(self, attempt: Attempt, title: str) -> str:
        left = max(self.budget.left(), 0.0)
        remaining = f"{left / 60:.1f} min left" if left >= 60 else f"{left:.0f} s left"
        if attempt.score is None:
            return f"{title}: {attempt.name}: failed: {attempt.problem} ({remaining})"
        shown = f"{metric_name(self.metric.name)} {self.metric.text(attempt.score)}"
        if attempt.interval is not None:
            shown += f" ({' – '.join(map(self.metric.text, attempt.interval))})"
        trained = f"{counted(attempt.epochs, 'epoch')} in {attempt.seconds:.1f} s"
        return f"{title}: {attempt.name}: {shown}, {trained} ({remaining})"

    def leaderboard(self) -> Leaderboard:
        """All candidates, the best first."""
        best = {each.name: each for each in ranked(self.attempts, self.metric)}
        chosen = self.best()
        order = [*best, *(name for name in self.names if name not in best)]
        candidates = {each.name: each for each in self.candidates}
        return Leaderboard(
            format=FORMAT,
            metric=self.metric.name,
            winner=None if chosen is None else chosen.name,
            finished=self.plan.finished,
            entries=[
                self._entry(candidates[name], best.get(name)) if name in candidates else _of_ensemble(best[name])
                for name in order
            ],
        )

    def _entry(self, candidate: Candidate, best: Attempt | None) -> Entry:
        own, left_out = self._earlier(candidate), self.left_out.get(candidate.name)
        return Entry(
            name=candidate.name,
            reason=candidate.reason,
            is_linear=candidate.is_linear,
            score=best and best.score,
            interval=best and best.interval,
            epochs=best.epochs if best else 0,
            seconds=round(sum(each.seconds for each in own), 3),
            parameters=best and best.parameters,
            problem=None if best else next((each.problem for each in own if each.problem), left_out),
        )


def _of_ensemble(best: Attempt) -> Entry:
    return Entry(
        name=best.name,
        reason=f"the mean of {enumerate_labels(best.member_names)}",
        is_linear=False,
        score=best.score,
        interval=best.interval,
        epochs=0,
        seconds=best.seconds,
        parameters=best.parameters,
        problem=None,
    )
