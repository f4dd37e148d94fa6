"""Searches on small files with a few candidates, and with a clock that advances by one second for each epoch."""

import random
import signal
from pathlib import Path

from ostinato.portfolio import resume_search, train_file
from ostinato.portfolio.plan import read_attempts
from ostinato.portfolio.search import Search
from ostinato.progress import Progress
from ostinato.tasks.base import Task
from ostinato.tasks.sequences.task import SequenceTask

BATCHES = ("training.batch_size=64", "training.max_tokens=none", "training.device=cpu")
SMALL = ("model.hidden_size=4", "model.embedding_size=4", "training.max_epochs=12", *BATCHES)


FIT, PORTFOLIO = Task.fit, SequenceTask.portfolio
CANDIDATES = 4  # the first ones: linear, wide-gru, tiny-gru, cnn


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


class World:
    """Counts trainings, and lets something happen in one of them.

    Args:
        strike_at: the number of a training, from 1; 0: before the first.
        strike: called once in that training, after its second epoch.
    """

    def __init__(self, monkeypatch, strike_at=None, strike=None):
        self.monkeypatch = monkeypatch
        self.now, self.fits, self.strike_at, self.strike = 0.0, 0, strike_at, strike
        self.lines = []
        self.train_for_real = FIT
        world = self
        monkeypatch.setattr(Task, "fit", lambda task, *args, **options: world.fit(task, *args, **options))
        monkeypatch.setattr(SequenceTask, "portfolio", lambda task, *args: PORTFOLIO(task, *args)[:CANDIDATES])

    def kill_after(self, attempts):
        """Kill the search once so many attempts are saved."""
        line = Search._line

        def killing(search, attempt, title):
            if len(search.attempts) == attempts:
                raise Killed
            return line(search, attempt, title)

        self.monkeypatch.setattr(Search, "_line", killing)

    def clock(self):
        return self.now

    def fit(self, task, config, data, **options):
        is_recorded = options.get("folder") is not None
        self.fits += is_recorded
        epochs, judge = 0, options.get("on_epoch", lambda state: None)

        def count(state):
            nonlocal epochs
            epochs += 1
            self.now += state.epoch > 0  # not for the start of a fitted model
            judge(state)
            if is_recorded and self.fits == self.strike_at and epochs == 2 and self.strike:
                strike, self.strike = self.strike, None
                strike()

        if "splits" in options:  # the warm-up takes no time
            if self.strike_at == 0 and self.strike:
                self.strike()
            return self.train_for_real(task, config, data, **options)
        return self.train_for_real(task, config, data, **{**options, "on_epoch": count})

    def say(self, line):
        self.lines.append(line)

    def progress(self):
        shown = Progress(quiet=True)
        shown.say = self.say
        return shown

    def train(self, path, folder, *, seconds=100, settings=SMALL):
        return train_file(
            path, minutes=seconds / 60, folder=folder, settings=settings, progress=self.progress(), clock=self.clock
        )

    def resume(self, folder, *, seconds=None):
        minutes = None if seconds is None else seconds / 60
        return resume_search(folder, minutes=minutes, progress=self.progress(), clock=self.clock)


def interrupt():
    signal.raise_signal(signal.SIGINT)


def kill():
    raise Killed


def write_reviews(path, rows=100, seed=0):
    """Two classes that one word tells apart, in rows of different length."""
    rng = random.Random(seed)
    lines = []
    for number in range(rows):
        label = rng.choice(["neg", "pos"])
        word = rng.choice(["great", "fine"] if label == "pos" else ["dull", "weak"])
        more = " ".join(rng.choice("abcdef") for _ in range(rng.randint(1, 6)))
        lines.append(f"{word} film number{number} {more},{label}\n")
    path.write_text("text,label\n" + "".join(lines), encoding="utf-8")
    return path


def write_noise(path, rows=120):
    """Labels that do not depend on the text; most are `no`."""
    rng = random.Random(1)
    lines = [f"{rng.choice('abcd')} {rng.choice('efgh')} w{n},{'no' if n % 4 else 'yes'}\n" for n in range(rows)]
    path.write_text("text,label\n" + "".join(lines), encoding="utf-8")
    return path


def trainings(folder: Path):
    return [(each.session, each.stage, each.name, each.epochs, each.score) for each in read_attempts(folder)]
