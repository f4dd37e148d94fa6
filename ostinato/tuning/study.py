"""Optuna's part of a search: it proposes values, prunes trials, and writes a journal of all trials to disk.

The sampler of each trial is a fresh one, seeded by the search's seed and the trial's number among those that ended. So
its proposals, like the decisions to prune, depend on the ended trials only, and a search that was interrupted any
number of times has the same trials as an uninterrupted one.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import JsonValue

from ostinato.config import Config, Range
from ostinato.errors import MissingExtraError, RunError
from ostinato.storage import open_own
from ostinato.tuning.results import Trial
from ostinato.tuning.search import Domain, Search

if TYPE_CHECKING:
    import optuna

JOURNAL = "study.journal"
EPOCHS_BEFORE_PRUNING = 3
TRIALS_BEFORE_PRUNING = 5
STATES: Mapping[str, Literal["complete", "pruned", "fail"]] = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "fail",
}


def import_optuna() -> Any:
    """Optuna, without its own messages.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("optuna", "tune", "Tuning") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class HeldLock:
    """For Optuna: the process already holds the folder's lock. Optuna's own lock would survive a kill."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def open_study(search: Search, folder: Path) -> "optuna.Study":
    """Create or load the folder's study. A trial that was interrupted is marked as failed, without a reason.

    The caller holds the folder's lock.

    Raises:
        RunError: the journal is damaged, is a link, or cannot be written.
    """
    optuna = import_optuna()
    path = folder / JOURNAL
    _cut_torn_line(path)
    backend = optuna.storages.journal.JournalFileBackend(str(path), lock_obj=HeldLock())
    try:
        study = _study(search, optuna.storages.JournalStorage(backend))
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, IndexError) as error:  # a line of others
        raise RunError(
            f"{path}: damaged ({type(error).__name__}: {error}). Copy the folder again, or start another search."
        ) from None
    for trial in study.trials:
        if trial.state == optuna.trial.TrialState.RUNNING:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def study_in_memory(search: Search, trials: "Sequence[optuna.trial.FrozenTrial]") -> "optuna.Study":
    """A study of the search that has these trials, and that can be sent to other processes."""
    study = _study(search, import_optuna().storages.InMemoryStorage())
    study.add_trials(trials)
    return study


def _study(search: Search, storage: Any) -> "optuna.Study":
    optuna = import_optuna()
    return optuna.create_study(  # type: ignore[no-any-return]
        study_name="ostinato",
        storage=storage,
        direction="minimize" if search.config.training.minimises else "maximize",
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=TRIALS_BEFORE_PRUNING, n_warmup_steps=EPOCHS_BEFORE_PRUNING
        ),
        load_if_exists=True,
    )


def fail(study: "optuna.Study", trial: "optuna.Trial", reason: str) -> str:
    """Record that a trial has failed, and why. Returns it in words."""
    trial.set_user_attr("reason", reason)
    study.tell(trial, state=import_optuna().trial.TrialState.FAIL)
    return f"failed: {reason}"


def next_trial(study: "optuna.Study", search: Search, number: int) -> "optuna.Trial":
    """The next trial.

    Args:
        number: of trials that have ended. The trial after none has the config's own values.
    """
    optuna = import_optuna()
    seed = int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0])
    study.sampler = optuna.samplers.TPESampler(seed=seed)
    is_queued = any(trial.state == optuna.trial.TrialState.WAITING for trial in study.trials)
    if number == 0 and not is_queued:
        study.enqueue_trial({key: _own_value(search.config, key, domain) for key, domain in search.space.items()})
    return study.ask()


def _cut_torn_line(path: Path) -> None:
    """Remove the end of a journal that was being written when the disk was full or the process was killed."""
    descriptor = open_own(path, os.O_RDWR)
    with open(descriptor, "rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


def propose(trial: "optuna.Trial", space: Mapping[str, Domain]) -> dict[str, JsonValue]:
    """The values to try next."""
    return {key: _propose(trial, key, domain) for key, domain in space.items()}


def ended_trials(study: "optuna.Study") -> "list[optuna.trial.FrozenTrial]":
    """The trials that completed, were pruned, or failed with a reason; not those that were interrupted."""
    return [
        trial
        for trial in study.trials
        if trial.state.name in ("COMPLETE", "PRUNED") or (trial.state.name == "FAIL" and "reason" in trial.user_attrs)
    ]


def is_complete(trial: "optuna.trial.FrozenTrial") -> bool:
    """Whether the trial was trained to its end."""
    return bool(trial.state.name == "COMPLETE")


def trial_result(trial: "optuna.trial.FrozenTrial", number: int, space: Mapping[str, Domain]) -> Trial:
    """A trial that has ended, under its number among those."""
    return Trial(
        number=number,
        state=STATES[trial.state.name],
        score=trial.value,
        seconds=trial.duration.total_seconds() if trial.duration else None,
        values={key: _value(trial.params[key], domain) for key, domain in space.items()},
        reason=trial.user_attrs.get("reason"),
    )


def _propose(trial: "optuna.Trial", key: str, domain: Domain) -> JsonValue:
    if not isinstance(domain, Range):
        return _value(trial.suggest_categorical(key, [json.dumps(choice) for choice in domain]), domain)
    if isinstance(domain.low, int) and isinstance(domain.high, int):
        return int(trial.suggest_int(key, domain.low, domain.high, log=domain.log))
    return float(trial.suggest_float(key, float(domain.low), float(domain.high), log=domain.log))


def _value(parameter: Any, domain: Domain) -> JsonValue:
    """The value that Optuna's parameter stands for: Optuna only takes choices that are text."""
    value: JsonValue = parameter if isinstance(domain, Range) else json.loads(parameter)
    return value


def _own_value(config: Config, key: str, domain: Domain) -> float | str:
    """The config's value as Optuna's parameter; moved to the nearest bound, or the first choice, if it is outside."""
    table, _, name = key.partition(".")
    value = getattr(getattr(config, table), name)
    if isinstance(domain, Range):
        nearest: float = min(max(value, domain.low), domain.high)  # an integer where all three are
        return nearest
    return json.dumps(value if value in domain else domain[0])
