"""A search from its first trial to its results; it resumes where it stopped."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ostinato.config import Config, to_toml
from ostinato.errors import RunError, TrainingError
from ostinato.progress import Progress
from ostinato.runs.folder import shell_path
from ostinato.storage import make_folder, write_atomically
from ostinato.storage.lock import locked
from ostinato.tasks import TASKS
from ostinato.tasks.records import TaskData
from ostinato.training import TrainingState
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

if TYPE_CHECKING:
    import optuna


def tune(search: Search, folder: Path, *, progress: Progress | None = None) -> TuningResults:
    """Run trials until there are as many as planned, and write the results.

    The first trial has the config's own values, so that the best is never worse on the validation split. A trial that
    falls behind the median of the others is pruned. A trial that fails is reported with its reason, and the search
    continues.

    Args:
        folder: is created, or holds the same search, interrupted before.

    Raises:
        RunError: the folder holds something else, another process is using it, or every trial failed.
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
            return _run_trials(search, folder, progress or Progress(quiet=True))
        except OSError as error:
            journal = folder / JOURNAL
            if error.filename not in (None, str(journal)):
                raise
            raise RunError(
                f"{journal}: cannot be written: {error.strerror}. Free disk space, then run: ostinato tune --resume "
                f"{shell_path(folder)}"
            ) from None


def _run_trials(search: Search, folder: Path, progress: Progress) -> TuningResults:
    study = open_study(search, folder)
    task = TASKS[search.config.task]
    data = task.prepare_for(search.config)
    started, before = time.monotonic(), len(ended_trials(study))
    while (done := len(ended_trials(study))) < search.trials:
        trial = next_trial(study, search, done)
        values = propose(trial, search.space)
        config = with_values(search.config, values)
        if config.data != data.config or config.model.init != search.config.model.init:
            data = task.prepare_for(config)
        outcome = _run_trial(study, trial, config, data)
        done += 1
        left = (time.monotonic() - started) / (done - before) * (search.trials - done)
        shown = ", ".join(f"{key.rpartition('.')[2]} {format_value(value)}" for key, value in values.items())
        progress.say(f"[{done}/{search.trials}] {shown}: {outcome}{_best_so_far(study)}{time_left(left)}")
    return _write_results(search, study, folder)


def time_left(seconds: float) -> str:
    """An estimate for the end of a line, as ` (about 5 min left)`; empty below one second."""
    if seconds < 1:
        return ""
    return f" (about {seconds / 60:.0f} min left)" if seconds > 90 else f" (about {seconds:.0f} s left)"


def _run_trial(study: "optuna.Study", trial: "optuna.Trial", config: Config, data: TaskData) -> str:
    """Train and record a trial. Returns its outcome in words."""
    optuna = import_optuna()
    try:
        score = _train(config, data, trial)
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        return "pruned"
    except (TrainingError, MemoryError, RuntimeError) as error:  # RuntimeError: PyTorch is out of memory
        reason = str(error) or type(error).__name__
        trial.set_user_attr("reason", reason)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return f"failed: {reason}"
    study.tell(trial, score)
    return f"{config.training.monitor} {score:.4f}"


def _train(config: Config, data: TaskData, trial: "optuna.Trial") -> float:
    """The best epoch's validation metric."""
    optuna, metric = import_optuna(), f"validation_{config.training.monitor}"

    def report(state: TrainingState) -> None:
        score = state.history[-1][metric]
        if not math.isfinite(score):
            raise TrainingError(f"{metric} is {score}")
        trial.report(score, state.epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    task = TASKS[config.task]
    state = task.fit(task.settle(config, data), data, on_epoch=report).state
    scores = [entry[metric] for entry in state.history]
    return float(min(scores) if config.training.minimises else max(scores))


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
