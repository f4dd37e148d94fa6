"""A search from its first trial to its results; it resumes where it stopped."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from ostinato.cluster import Cluster
from ostinato.config import to_toml
from ostinato.errors import RunError
from ostinato.progress import Progress
from ostinato.runs.folder import shell_path
from ostinato.storage import make_folder, write_atomically
from ostinato.storage.lock import locked
from ostinato.tasks import TASKS
from ostinato.tuning.on_cluster import Show, run_on_cluster
from ostinato.tuning.results import BEST, RESULTS, TRIALS, TuningResults, format_value, to_csv
from ostinato.tuning.search import PLAN, Search, refuse_other, with_values
from ostinato.tuning.study import (
    JOURNAL,
    ended_trials,
    import_optuna,
    is_complete,
    next_trial,
    open_study,
    propose,
    trial_result,
)
from ostinato.tuning.trial import run_trial

if TYPE_CHECKING:
    import optuna


def tune(
    search: Search,
    folder: Path,
    *,
    progress: Progress | None = None,
    cluster: Cluster | None = None,
    at_once: int | None = None,
) -> TuningResults:
    """Run trials until there are as many as planned, and write the results.

    The first trial has the config's own values, so that the best is never worse on the validation split. A trial that
    falls behind the median of the others is pruned. A trial that fails is reported with its reason, and the search
    continues.

    Args:
        folder: is created, or holds the same search, interrupted before.
        cluster: runs trials on its nodes, several at once; see `on_cluster`.
        at_once: how many; None: one for each of its CPUs or GPUs.

    Raises:
        RunError: the folder holds something else, another process is using it, every trial failed, or the connection to
            the cluster is lost.
        MissingExtraError: Optuna is not installed.
        KeyboardInterrupt: the current trial is lost, all others are saved; called again, the search resumes, and has
            the trials of an uninterrupted one.
    """
    import_optuna()  # before a folder is created
    refuse_other(search, folder)
    make_folder(folder)
    with locked(folder):
        refuse_other(search, folder)  # another process may have been faster
        search.record().write(folder / PLAN)
        try:
            study = open_study(search, folder)
            show = TrialProgress(search, study, progress or Progress(quiet=True)).show
            if cluster is None:
                _run_trials(search, study, show)
            else:
                run_on_cluster(cluster, search, study, at_once=at_once, show=show)
            return _write_results(search, study, folder)
        except OSError as error:
            journal = folder / JOURNAL
            if error.filename not in (None, str(journal)):
                raise
            raise RunError(
                f"{journal}: cannot be written: {error.strerror}. Free disk space, then run: ostinato tune --resume "
                f"{shell_path(folder)}"
            ) from None


class TrialProgress:
    """Shows what became of each trial, and how long the others will take."""

    def __init__(self, search: Search, study: "optuna.Study", progress: Progress) -> None:
        self._search, self._study, self._progress = search, study, progress
        self._started, self._before = time.monotonic(), len(ended_trials(study))

    def show(self, values: Mapping[str, JsonValue], outcome: str) -> None:
        """Show the values and the outcome of the trial that has just ended, and the time left."""
        trials, done = self._search.trials, len(ended_trials(self._study))
        left = (time.monotonic() - self._started) / (done - self._before) * (trials - done)
        shown = ", ".join(f"{key.rpartition('.')[2]} {format_value(value)}" for key, value in values.items())
        self._progress.say(f"[{done}/{trials}] {shown}: {outcome}{_best_so_far(self._study)}{time_left(left)}")


def _run_trials(search: Search, study: "optuna.Study", show: Show) -> None:
    """Run the trials that are missing, one after another."""
    task = TASKS[search.config.task]
    data = task.prepare_for(search.config)
    while (done := len(ended_trials(study))) < search.trials:
        trial = next_trial(study, search, done)
        values = propose(trial, search.space)
        config = with_values(search.config, values)
        if config.data != data.config or config.model.init != search.config.model.init:
            data = task.prepare_for(config)
        show(values, run_trial(study, trial, config, data))


def time_left(seconds: float) -> str:
    """An estimate for the end of a line, as ` (about 5 min left)`; empty below one second."""
    if seconds < 1:
        return ""
    return f" (about {seconds / 60:.0f} min left)" if seconds > 90 else f" (about {seconds:.0f} s left)"


def _best_so_far(study: "optuna.Study") -> str:
    return f", best so far {study.best_value:.4f}" if any(map(is_complete, study.trials)) else ""


def _write_results(search: Search, study: "optuna.Study", folder: Path) -> TuningResults:
    ended = ended_trials(study)
    if not any(map(is_complete, ended)):
        reasons = "; ".join(dict.fromkeys(each.user_attrs["reason"] for each in ended if "reason" in each.user_attrs))
        raise RunError(f"{folder}: every trial failed: {reasons}. Narrow the search, or make the model smaller.")
    trials = [trial_result(trial, number, search.space) for number, trial in enumerate(ended)]
    best = trials[[trial.number for trial in ended].index(study.best_trial.number)]
    results = TuningResults(
        monitor=search.config.training.monitor,
        untuned=trials[0].score,
        best=best,
        trials=trials,
        config=to_toml(with_values(search.config, best.values)),
    )
    results.write(folder / RESULTS)
    write_atomically(folder / TRIALS, to_csv(trials))
    write_atomically(folder / BEST, results.config)
    return results
