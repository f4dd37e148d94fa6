"""Optuna's part of a search: it proposes values, prunes trials, and keeps a journal of all trials on disk."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import JsonValue

from ostinato.config import Config, Range
from ostinato.errors import MissingExtraError
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


def open_study(search: Search, folder: Path) -> "optuna.Study":
    """Create or load the folder's study; a trial that was interrupted is queued again with the same values."""
    optuna = import_optuna()
    study = optuna.create_study(
        study_name="ostinato",
        storage=optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL))),
        direction="minimize" if search.config.training.minimises else "maximize",
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=TRIALS_BEFORE_PRUNING, n_warmup_steps=EPOCHS_BEFORE_PRUNING
        ),
        load_if_exists=True,
    )
    study.sampler = optuna.samplers.TPESampler(seed=search.seed + len(study.trials))
    for trial in study.trials:
        if trial.state == optuna.trial.TrialState.RUNNING:
            study.enqueue_trial(trial.params, user_attrs={"again": True})
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    if not study.trials:
        study.enqueue_trial({key: _own_value(search.config, key, domain) for key, domain in search.space.items()})
    return study  # type: ignore[no-any-return]


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
