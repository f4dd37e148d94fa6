"""The results of a search, as `tuning.json` and `trials.csv` hold them."""

import csv
import io
from typing import Literal

from pydantic import JsonValue

from ostinato.config import Config
from ostinato.runs.json_model import JsonModel
from ostinato.tasks.config import parse_toml

TRIALS, RESULTS, BEST = "trials.csv", "tuning.json", "best.toml"


class Trial(JsonModel):
    """One training of a search.

    Args:
        number: from 0; interrupted trials do not count.
        score: the best epoch's validation metric; if pruned, that of the last epoch; None if the trial failed.
        seconds: how long it took.
        values: of the searched keys.
        reason: why it failed.
    """

    number: int
    state: Literal["complete", "pruned", "fail"]
    score: float | None
    seconds: float | None
    values: dict[str, JsonValue]
    reason: str | None


class TuningResults(JsonModel):
    """The results of a search.

    Args:
        monitor: the validation metric that trials are scored by.
        untuned: the score of the config's own values; None if that trial failed.
        best: the trial with the best score.
        trials: in order.
        config: the best config, as TOML.
    """

    monitor: str
    untuned: float | None
    best: Trial
    trials: list[Trial]
    config: str

    def best_config(self) -> Config:
        """The best config."""
        return parse_toml(self.config, BEST)


def to_csv(trials: list[Trial]) -> str:
    """One line for each trial."""
    keys = list(trials[0].values)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", "state", "score", "seconds", *keys, "reason"])
    for trial in trials:  # None is written as an empty cell
        values = [_joined(trial.values[key]) for key in keys]
        writer.writerow([trial.number, trial.state, trial.score, trial.seconds, *values, trial.reason])
    return text.getvalue()


def format_value(value: JsonValue) -> str:
    """A setting's value in a sentence: numbers with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else _joined(value)


def _joined(value: JsonValue) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)
