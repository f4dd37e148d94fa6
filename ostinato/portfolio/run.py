"""`ostinato train FILE`: from a data file to a run folder with the best of several models, within minutes."""

import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ostinato.config import Config, to_toml
from ostinato.errors import ConfigError, DataError, RunError
from ostinato.portfolio.ensembles import try_ensembles, write_run
from ostinato.portfolio.plan import CANDIDATES, PLAN, Attempt, Plan, read_attempts
from ostinato.portfolio.search import Budget, Search
from ostinato.portfolio.trial import Clock, Trainer
from ostinato.progress import Progress, TimeLeft
from ostinato.runs.finished import finished_metrics, is_complete
from ostinato.runs.folder import CONFIG, environment_of, refuse_occupied, shell_path, with_absolute_paths
from ostinato.runs.leaderboard import LEADERBOARD
from ostinato.runs.log import Log
from ostinato.runs.training import CHECKPOINTS, resume_run, stop_signals
from ostinato.storage import FORMAT, METRICS, make_folder, make_subfolder, write_atomically
from ostinato.storage.lock import locked
from ostinato.tasks import TASKS
from ostinato.tasks.config import override, parse_toml
from ostinato.tasks.infer import infer_config
from ostinato.tasks.records import Candidate, Inferred, TaskData

TENSORS = ".safetensors"
SCORING_S = 10.0  # what the baselines may take at least; the fit that has begun by then is completed
LOCK_WAIT_S = 10.0  # for another process that looks at the run while the lock changes hands


def train_file(
    path: Path,
    *,
    minutes: float = 10,
    folder: Path,
    settings: Sequence[str] = (),
    inferred: Inferred | None = None,
    progress: Progress | None = None,
    clock: Clock = time.monotonic,
) -> dict[str, Any]:
    """Try models of different kinds on a data file, and put the best into a run folder. Returns its metrics.

    Candidates are compared on the validation split only; the test split is scored once, with the chosen model.

    Args:
        minutes: the time for all trainings, without reading the data and scoring the test split. The first model is
            trained for at least an epoch, whatever it takes.
        folder: is created.
        settings: as `model.dropout=0.5`; they apply to every candidate.
        inferred: from the file, if the caller has done that.
        clock: seconds from any start.

    Raises:
        KeyboardInterrupt: on Ctrl-C or SIGTERM. The best model so far is saved as the run, unless none is trained or
            the signal comes a second time. `resume_search` continues.
        ConfigError: `minutes` or a setting cannot be used.
        DataError: the file cannot be used, or has too few rows for a validation split.
        RunError: the folder already exists, or cannot be written.
    """
    progress = progress or Progress(quiet=True)
    _refuse_minutes(minutes)
    refuse_occupied(folder)
    inferred = inferred or infer_config(path, settings)
    config = with_absolute_paths(override(inferred.config, settings))
    if config.model.init is not None:
        raise ConfigError(
            f"model.init {config.model.init}: models of other kinds could not start from it, so they are not compared. "
            f"Train one: ostinato init {shell_path(path)} > config.toml && ostinato train config.toml "
            f"--set model.init={shell_path(Path(config.model.init))}"
        )
    for reason in inferred.reasons[1:]:  # the first explains what to do with a config
        progress.say(reason)
    data = _prepare(config, progress)
    candidates = _candidates(config, data, settings)
    plan = Plan(
        format=FORMAT,
        config=to_toml(config),
        settings=list(settings),
        digests=_digests(data),
        session=1,
        seconds=60 * minutes,
        finished=False,
        adopted=None,
    )
    make_folder(folder)
    with locked(folder):
        refuse_occupied(folder)  # another process may have been faster
        plan.write(folder / PLAN)
    return _run(folder, plan, _Prepared(config, data, candidates), progress, clock)


def resume_search(
    folder: Path, *, minutes: float | None = None, progress: Progress | None = None, clock: Clock = time.monotonic
) -> dict[str, Any]:
    """Continue a search that was interrupted, or go on with one that has ended. Returns the run's metrics.

    Args:
        minutes: the time that it may still take; None: what is left of the planned time.

    Raises:
        RunError: the folder holds no search, a file of it is damaged, or the data have changed.
        KeyboardInterrupt, OstinatoError: as in `train_file`.
    """
    progress = progress or Progress(quiet=True)
    plan = Plan.read(folder / PLAN)
    if minutes is not None:
        _refuse_minutes(minutes)
    elif plan.finished and (folder / CONFIG).exists() and is_complete(folder):
        return finished_metrics(folder) or {}
    config = parse_toml(plan.config, str(folder / PLAN))
    data = _prepare(config, progress)
    if _digests(data) != plan.digests:
        raise RunError(
            f"{folder}: the data have changed since the search began, so scores cannot be compared. Restore the file, "
            "or train into a new folder."
        )
    candidates = _candidates(config, data, plan.settings)
    if minutes is not None:
        plan = _extended(plan, read_attempts(folder), 60 * minutes)
    return _run(folder, plan, _Prepared(config, data, candidates), progress, clock)


class _Prepared(NamedTuple):
    """What all candidates share, and the candidates."""

    config: Config
    data: TaskData
    candidates: list[Candidate]


def _run(folder: Path, plan: Plan, prepared: _Prepared, progress: Progress, clock: Clock) -> dict[str, Any]:
    """Search, and put the best model into the run folder, also after the first Ctrl-C."""
    is_interrupted = False
    with stop_signals() as stop_requested:
        with locked(folder, wait_s=LOCK_WAIT_S):
            plan.write(folder / PLAN)
            environment_of(folder, prepared.config)
            task = TASKS[prepared.config.task]
            metric = task.main_metric(prepared.config)
            trainer = Trainer(folder, task, prepared.data, metric, progress, stop_requested, clock)
            used = sum(each.seconds for each in read_attempts(folder) if each.session == plan.session)
            budget = Budget(trainer, plan.seconds, used)
            if not plan.finished:
                trainer.warm_up(prepared.candidates[-1])
            log = Log(folder / "training.log", progress)
            search = Search(folder, plan, trainer, prepared.candidates, budget, log)
            try:
                if not plan.finished:
                    search.run()
                    try_ensembles(search)
                search.plan = search.plan.model_copy(update={"finished": True})
            except KeyboardInterrupt:
                is_interrupted = True
            _adopt(search)
        progress.say("Scoring the test split once, with its baselines.")
        end = clock() + (SCORING_S if is_interrupted else max(budget.left(), SCORING_S, _seconds_of_best(search)))
        metrics = _score(search, lambda: end - clock())
        if is_interrupted:
            raise KeyboardInterrupt
        with locked(folder, wait_s=LOCK_WAIT_S):
            _remove_candidates(search)
    return metrics


def _score(search: Search, time_left: TimeLeft) -> dict[str, Any]:
    """Score the chosen model on the test split once, with its baselines."""
    chosen = search.best()
    if chosen is None or not chosen.members:
        return resume_run(search.folder, data=search.trainer.data, wait_s=LOCK_WAIT_S, time_left=time_left)
    with locked(search.folder, wait_s=LOCK_WAIT_S):
        return write_run(search, chosen, time_left)


def _remove_candidates(search: Search) -> None:
    """Remove the checkpoints of all trainings but the members of an ensemble that won: more minutes may beat it."""
    chosen, places = search.best(), search.folder / CANDIDATES
    members = () if chosen is None else chosen.members
    for place in places.glob("*") if members else [places]:
        if place.name not in members:
            shutil.rmtree(place, ignore_errors=True)


def _adopt(search: Search) -> None:
    """Make the chosen attempt the run of the folder: its config and its checkpoints, of a finished training.

    Of an ensemble, it is the config of the first member, as in every run of an ensemble; members keep their folders.

    From the moment when `config.toml` is removed to the moment when it is written, the folder is no run; a search that
    is resumed then chooses again.

    Raises:
        KeyboardInterrupt: no attempt has a score yet, because the user stopped the search.
        RunError: every training failed, or was too slow for the time.
    """
    folder, chosen = search.folder, search.best()
    if chosen is None:
        if not search.plan.finished:
            raise KeyboardInterrupt
        raise RunError(f"{folder}: {_why_none(search)}")
    if not (search.plan.adopted == chosen.key and (folder / CONFIG).exists()):
        for name in (METRICS, CONFIG):
            (folder / name).unlink(missing_ok=True)
        place = folder / CANDIDATES / (chosen.members[0] if chosen.members else chosen.key)
        search.plan = search.plan.model_copy(update={"adopted": chosen.key})
        make_subfolder(folder / CHECKPOINTS)
        for path in (folder / CHECKPOINTS).glob(f"*{TENSORS}"):  # of the attempt that was adopted before
            path.unlink()
        for path in [] if chosen.members else place.glob(f"*{TENSORS}"):
            write_atomically(folder / CHECKPOINTS / path.name, path.read_bytes())
        write_atomically(folder / CONFIG, (place / CONFIG).read_bytes())
    search.plan.write(folder / PLAN)
    search.leaderboard().write(folder / LEADERBOARD)


def _seconds_of_best(search: Search) -> float:
    """How long the chosen model was trained: baselines get as much time, so that they do not flatter it."""
    chosen = search.best()
    return 0.0 if chosen is None else chosen.seconds


def _why_none(search: Search) -> str:
    """Why there is no trained model at the end, and what to do."""
    problems = dict.fromkeys(each.problem for each in search.attempts if each.problem)
    if problems:
        return f"every training failed: {'; '.join(problems)}"
    slow = "; ".join(f"{name} is {why}" for name, why in search.left_out.items())
    return f"no model could be trained in this time. Give more with: ostinato train FILE --minutes MINUTES. ({slow})"


def _extended(plan: Plan, attempts: Sequence[Attempt], seconds: float) -> Plan:
    """The plan with more time: for the session that was interrupted, or for another one."""
    if plan.finished:
        return plan.model_copy(update={"session": plan.session + 1, "seconds": seconds, "finished": False})
    used = sum(each.seconds for each in attempts if each.session == plan.session)
    return plan.model_copy(update={"seconds": used + seconds})


def _prepare(config: Config, progress: Progress) -> TaskData:
    """Load and audit the data.

    Raises:
        DataError: there is no validation split to compare candidates on.
        OstinatoError: the data cannot be used.
    """
    with progress.reading(config.data.files().values()):
        data = TASKS[config.task].prepare_for(config)
    for line in data.audit.lines():
        progress.say(line)
    if "validation" not in data.splits:
        file = shell_path(Path(str(config.data.path)))
        raise DataError(
            f"{config.data.path}: there is no validation split to compare models on, because the file has too few rows "
            "or data.validation_size is 0. Add rows, or train a single model: "
            f"ostinato init {file} > config.toml && ostinato train config.toml"
        )
    return data


def _candidates(config: Config, data: TaskData, settings: Sequence[str]) -> list[Candidate]:
    """The task's candidates with the user's settings, without those that the settings rule out or make equal.

    Raises:
        ConfigError: no candidate is left; the reason of the first.
    """
    task, problem = TASKS[config.task], None
    found: list[Candidate] = []
    for each in task.portfolio(config, data):
        try:
            changed = task.settle(override(each.config, settings), data)
            task.check(changed, data)
        except ConfigError as error:
            problem = problem or error
            continue
        if changed not in [other.config for other in found]:
            found.append(each._replace(config=changed))
    if not found:
        assert problem is not None
        raise problem
    return found


def _digests(data: TaskData) -> dict[str, str]:
    return {name: split.digest() for name, split in data.splits.items()}


def _refuse_minutes(minutes: float) -> None:
    if not (minutes > 0 and math.isfinite(minutes)):
        raise ConfigError(f"--minutes {minutes:g}: expected a number above 0, such as 10.")
