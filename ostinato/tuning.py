"""Hyper-parameter search on the validation split: Optuna proposes, our training answers, the test split stays untouched.

plan.json        config, search space, number of trials, seed
study.journal    every trial, line by line as it happens: what a killed search goes on from
trials.csv, tuning.json, best.toml    what was found
"""

import csv
import io
import json
import math
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.config import Config, Range, to_toml
from ostinato.errors import ConfigError, MissingExtraError, RunError, TrainingError, suggest
from ostinato.progress import Progress
from ostinato.runs.folder import with_absolute_paths, write_json
from ostinato.storage import FORMAT, check_format, write_atomically
from ostinato.tasks import TASKS
from ostinato.tasks.base import TaskData
from ostinato.tasks.config import override, parse_toml
from ostinato.training import TrainingState

if TYPE_CHECKING:
    import optuna

PLAN, JOURNAL, TRIALS, FOUND, BEST = "plan.json", "study.journal", "trials.csv", "tuning.json", "best.toml"
EPOCHS_BEFORE_PRUNING = 3
TRIALS_BEFORE_PRUNING = 5

Space = dict[str, Range | list[Any]]


@dataclass(frozen=True)
class Search:
    """What is searched, and how long.

    Args:
        config: whose own values are the first trial.
        space: a range or choices for each key.
        trials: in all, those of earlier sittings included.
        seed: of the proposals.
    """

    config: Config
    space: Space
    trials: int
    seed: int = 0


def make_search(config: Config, *, trials: int, seed: int = 0, fixed: Collection[str] = ()) -> Search:
    """The config's `[search]`, or what usually matters; `fixed` keys stay as they are.

    Raises:
        ConfigError: every fault of the space at once, one a line; no validation split.
    """
    faults = [f"--trials {trials}: expected at least 1."] if trials < 1 else []
    if config.data.validation_size == 0 and config.data.validation_path is None:
        faults.append("data.validation_size 0: a search is judged on validation. Set a validation split.")
    space = {key: domain for key, domain in (config.search or usual_space(config)).items() if key not in fixed}
    faults += [fault for key, domain in space.items() for fault in _faults(config, key, domain)]
    if faults:
        raise ConfigError("\n".join(faults))
    return Search(with_absolute_paths(config), space, trials, seed)


def usual_space(config: Config) -> Space:
    """Around the config: the learning rate first, which matters most (Greff et al. 2017, arXiv:1503.04069), then size, dropout, depth."""
    model, training = config.model, config.training
    return {
        "training.lr": Range(low=training.lr / 8, high=training.lr * 4, log=True),
        "model.hidden_size": Range(low=max(1, model.hidden_size // 2), high=model.hidden_size * 2, log=True),
        "model.dropout": Range(low=0.0, high=max(0.6, model.dropout)),
        "model.num_layers": [*dict.fromkeys([1, 2, model.num_layers])],
        "training.batch_size": [
            *dict.fromkeys([max(1, training.batch_size // 2), training.batch_size, training.batch_size * 2])
        ],
    }


def tune(search: Search, folder: Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """Search until there are as many trials as asked for, and write what was found.

    The first trial has the config's own values, so that the best is never worse on validation. A trial that falls behind
    the median of the others is pruned; one that fails is told with its reason, and the search goes on.

    Returns:
        The content of `tuning.json`: `trials`, `best`, `untuned`, `monitor`, and `config`, the best as TOML.

    Raises:
        RunError: the folder holds something else; every trial failed.
        MissingExtraError: Optuna is not installed.
        KeyboardInterrupt: the trial at hand is lost, all others are kept; called again, the search goes on.
    """
    progress = progress or Progress(quiet=True)
    optuna = _optuna()
    _keep_plan(search, folder)
    study = _study(search, folder)
    task = TASKS[search.config.task]
    data = task.prepare(search.config.data)
    started, before = time.monotonic(), len(_ended(study))
    while len(_ended(study)) < search.trials:
        trial = study.ask()
        values = {key: _propose(trial, key, domain) for key, domain in search.space.items()}
        config = _with_values(search.config, values)
        if config.data != data.config:
            data = task.prepare(config.data)
        try:
            score = _train(config, data, trial)
            study.tell(trial, score)
            outcome = f"{config.training.monitor} {score:.4f}"
        except optuna.TrialPruned:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            outcome = "pruned"
        except (
            TrainingError,
            MemoryError,
            RuntimeError,
        ) as error:  # PyTorch says RuntimeError where memory does not suffice
            trial.set_user_attr("reason", str(error) or type(error).__name__)
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            outcome = f"failed: {error}"
        done = len(_ended(study))
        left = (time.monotonic() - started) / (done - before) * (search.trials - done)
        told = ", ".join(f"{key.rpartition('.')[2]} {in_words(value)}" for key, value in values.items())
        progress.say(f"[{done}/{search.trials}] {told}: {outcome}{_best_so_far(study)}{time_left(left)}")
    return _keep(search, study, folder)


def read_search(folder: Path, *, trials: int | None = None) -> Search:
    """The search that was begun in a folder, with as many trials as planned or as now asked for.

    Raises:
        RunError: there is none at that place, or it was altered.
    """
    path = folder / PLAN
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        check_format(path, int(content["format"]))
        space = {
            key: Range.model_validate(domain) if isinstance(domain, dict) else domain
            for key, domain in content["space"].items()
        }
        return Search(parse_toml(content["config"], str(path)), space, trials or content["trials"], content["seed"])
    except FileNotFoundError:
        raise RunError(
            f"{folder}: is not a search: it holds no {PLAN}. Start one with: ostinato tune PRESET --out {folder}"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise RunError(
            f"{path}: altered, not the plan that was written. Copy the folder again, or tune anew."
        ) from None


def best_config(found: dict[str, Any]) -> Config:
    """The best config of what `tune` returned."""
    return parse_toml(found["config"], BEST)


def time_left(seconds: float) -> str:
    """An estimate for the end of a line; nothing where nothing is left."""
    if seconds < 1:
        return ""
    return f" (about {seconds / 60:.0f} min left)" if seconds > 90 else f" (about {seconds:.0f} s left)"


def in_words(value: Any) -> str:
    """A setting's value as it is told: numbers to four digits."""
    return (
        f"{value:.4g}"
        if isinstance(value, float)
        else "+".join(map(str, value))
        if isinstance(value, list)
        else str(value)
    )


def _faults(config: Config, key: str, domain: Range | list[Any]) -> Iterator[str]:
    """What is wrong with a key's domain; the values themselves are tried on the config."""
    keys = config.keys()
    if key not in keys:
        yield f"search: {key}: unknown key. {suggest(key, keys)}See all with: ostinato schema"
        return
    if isinstance(domain, Range):
        if domain.low > domain.high:
            yield f"search: {key}: low {domain.low} is above high {domain.high}. Exchange them."
        if domain.log and domain.low <= 0:
            yield f"search: {key}: low {domain.low} has no logarithm. Give a low above 0, or log = false."
    elif not domain:
        yield f"search: {key}: no choices. Give a list of values, or a range as {{low = 1, high = 8}}."
    for value in (domain.low, domain.high) if isinstance(domain, Range) else domain:
        try:
            _with_values(config, {key: value})
        except ConfigError as error:
            yield f"search: {str(error).removeprefix('--set: ')}"


def _with_values(config: Config, values: dict[str, Any]) -> Config:
    """The config with these values, and without a search."""
    return override(
        config.model_copy(update={"search": None}), [f"{key}={json.dumps(value)}" for key, value in values.items()]
    )


def _propose(trial: "optuna.Trial", key: str, domain: Range | list[Any]) -> Any:
    if not isinstance(domain, Range):
        return json.loads(trial.suggest_categorical(key, [json.dumps(value) for value in domain]))
    if isinstance(domain.low, int) and isinstance(domain.high, int):
        return trial.suggest_int(key, domain.low, domain.high, log=domain.log)
    return trial.suggest_float(key, float(domain.low), float(domain.high), log=domain.log)


def _train(config: Config, data: TaskData, trial: "optuna.Trial") -> float:
    """The best epoch's validation metric."""
    optuna, metric = _optuna(), f"validation_{config.training.monitor}"

    def judge(state: TrainingState) -> None:
        score = state.history[-1][metric]
        if not math.isfinite(score):
            raise TrainingError(f"the {metric} is {score}")
        trial.report(score, state.epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    state = TASKS[config.task].fit(config, data, on_epoch=judge).state
    scores = [entry[metric] for entry in state.history]
    return float(min(scores) if config.training.minimises else max(scores))


def _keep_plan(search: Search, folder: Path) -> None:
    space = {key: domain.model_dump() if isinstance(domain, Range) else domain for key, domain in search.space.items()}
    plan: dict[str, Any] = {
        "format": FORMAT,
        "config": to_toml(search.config),
        "space": space,
        "trials": search.trials,
        "seed": search.seed,
    }
    if (folder / PLAN).exists():
        if replace(read_search(folder), trials=0) != replace(search, trials=0, config=parse_toml(plan["config"], PLAN)):
            raise RunError(
                f"{folder}: holds another search. Choose another --out, or go on with that one: ostinato tune --resume {folder}"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder}: is not empty. Choose another --out.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be made: {error.strerror}. Choose another --out.") from None
    write_json(folder / PLAN, plan)


def _study(search: Search, folder: Path) -> "optuna.Study":
    """The folder's study; a trial that was cut off is put up again with the same values."""
    optuna = _optuna()
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL)))
    direction = "minimize" if search.config.training.minimises else "maximize"
    pruner = optuna.pruners.MedianPruner(n_startup_trials=TRIALS_BEFORE_PRUNING, n_warmup_steps=EPOCHS_BEFORE_PRUNING)
    study = optuna.create_study(
        study_name="ostinato", storage=storage, direction=direction, pruner=pruner, load_if_exists=True
    )
    study.sampler = optuna.samplers.TPESampler(seed=search.seed + len(study.trials))
    for trial in study.trials:
        if trial.state == optuna.trial.TrialState.RUNNING:
            study.enqueue_trial(trial.params, user_attrs={"again": True})
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    if not study.trials:
        study.enqueue_trial({key: _own_value(search.config, key, domain) for key, domain in search.space.items()})
    return study  # type: ignore[no-any-return]


def _own_value(config: Config, key: str, domain: Range | list[Any]) -> Any:
    """The config's value, moved into the range where it is outside."""
    table, _, name = key.partition(".")
    value = getattr(getattr(config, table), name)
    if isinstance(domain, Range):
        return min(max(value, domain.low), domain.high)
    return json.dumps(value if value in domain else domain[0])


def _ended(study: "optuna.Study") -> "list[optuna.trial.FrozenTrial]":
    """Trials that came to an end of their own: complete, pruned, or failed for a reason."""
    states = _optuna().trial.TrialState
    return [
        trial
        for trial in study.trials
        if trial.state in (states.COMPLETE, states.PRUNED) or "reason" in trial.user_attrs
    ]


def _best_so_far(study: "optuna.Study") -> str:
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    return f", best so far {study.best_value:.4f}" if complete else ""


def _keep(search: Search, study: "optuna.Study", folder: Path) -> dict[str, Any]:
    ended = _ended(study)
    if not any(trial.state.name == "COMPLETE" for trial in ended):
        reasons = "; ".join(
            dict.fromkeys(trial.user_attrs["reason"] for trial in ended if "reason" in trial.user_attrs)
        )
        raise RunError(f"{folder}: every trial failed: {reasons}. Narrow the search, or make the model smaller.")
    trials: list[dict[str, Any]] = [
        {
            "number": number,
            "state": trial.state.name.lower(),
            "score": trial.value,
            "seconds": trial.duration.total_seconds() if trial.duration else None,
            "values": {key: _value_of(trial.params[key], search.space[key]) for key in search.space},
            "reason": trial.user_attrs.get("reason"),
        }
        for number, trial in enumerate(ended)
    ]
    best = next(each for each, trial in zip(trials, ended, strict=True) if trial.number == study.best_trial.number)
    config = to_toml(_with_values(search.config, best["values"]))
    found = {
        "monitor": search.config.training.monitor,
        "untuned": trials[0]["score"],
        "best": best,
        "trials": trials,
        "config": config,
    }
    write_json(folder / FOUND, found)
    write_atomically(folder / TRIALS, _csv(trials, list(search.space)))
    write_atomically(folder / BEST, config)
    return found


def _value_of(parameter: Any, domain: Range | list[Any]) -> Any:
    return parameter if isinstance(domain, Range) else json.loads(parameter)


def _csv(trials: list[dict[str, Any]], keys: list[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", "state", "score", "seconds", *keys, "reason"])
    for trial in trials:
        cells = [
            trial["number"],
            trial["state"],
            trial["score"],
            trial["seconds"],
            *(_text(trial["values"][key]) for key in keys),
            trial["reason"],
        ]
        writer.writerow(["" if cell is None else cell for cell in cells])
    return text.getvalue()


def _text(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("optuna", "tune", "Tuning") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
