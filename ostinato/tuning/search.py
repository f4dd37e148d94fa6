"""What a search tries: the base config, a range or choices for each searched key, and how many trials."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from ostinato.config import Config, Range, to_toml
from ostinato.config.renamed import RENAMED
from ostinato.errors import ConfigError, RunError, suggest
from ostinato.runs.folder import shell_path, with_absolute_paths
from ostinato.runs.json_model import JsonModel
from ostinato.storage import FORMAT, is_unused
from ostinato.tasks import TASKS
from ostinato.tasks.config import override, parse_toml

PLAN = "plan.json"

Domain = Range | list[JsonValue]  # a range, or choices


class SearchRecord(JsonModel):
    """A search as `plan.json` holds it; `config` is TOML."""

    format: int
    config: str
    space: dict[str, Domain]
    trials: int
    seed: int


@dataclass(frozen=True)
class Search:
    """What is searched, and for how long.

    Args:
        config: its own values are the first trial.
        space: a range or choices for each searched key.
        trials: the total number, including those before an interruption.
        seed: of the sampler.
    """

    config: Config
    space: Mapping[str, Domain]
    trials: int
    seed: int = 0

    def record(self) -> SearchRecord:
        """The search as it is saved."""
        return SearchRecord(
            format=FORMAT,
            config=to_toml(self.config),
            space=dict(self.space),
            trials=self.trials,
            seed=self.seed,
        )


def make_search(config: Config, *, trials: int, seed: int = 0, fixed: Collection[str] = ()) -> Search:
    """Search the config's `[search]` table, or the default space.

    Args:
        fixed: keys that are not searched.

    Raises:
        ConfigError: the space is invalid, or there is no validation split; every problem at once, one a line.
        OstinatoError: the config leaves keys open, and the data that they are chosen from cannot be used.
    """
    problems = [f"--trials {trials}: expected at least 1."] if trials < 1 else []
    if config.data.validation_size == 0 and config.data.validation_path is None:
        problems.append("data.validation_size 0: trials are scored on the validation split. Set a validation split.")
    config = with_absolute_paths(config)
    if not config.is_settled and not problems:
        task = TASKS[config.task]
        config = task.settle(config, task.prepare_for(config))
    space = {key: domain for key, domain in (config.search or default_space(config)).items() if key not in fixed}
    problems += [problem for key, domain in space.items() for problem in _problems(config, key, domain)]
    if problems:
        raise ConfigError("\n".join(problems))
    return Search(config, space, trials, seed)


def default_space(config: Config) -> dict[str, Domain]:
    """Ranges around the config's values for the learning rate, the size, dropout, the depth and the batch size.

    Source: Greff et al. (2017), arXiv:1503.04069: the learning rate matters most, then the size.
    """
    model, training = config.model, config.training
    batch = training.batch_size
    return {
        "training.lr": Range(low=training.lr / 8, high=training.lr * 4, log=True),
        "model.hidden_size": Range(low=max(1, model.hidden_size // 2), high=model.hidden_size * 2, log=True),
        "model.dropout": Range(low=0.0, high=max(0.6, model.dropout)),
        "model.num_layers": [*dict.fromkeys([1, 2, model.num_layers])],
        "training.batch_size": [*dict.fromkeys([max(1, batch // 2), batch, batch * 2])],
    }


def read_search(folder: Path, *, trials: int | None = None) -> Search:
    """The search that was started in a folder, also by version 0.1.

    Args:
        trials: a new total number; None: as planned.

    Raises:
        RunError: the folder holds no search, it was altered, or it searches a key that has been renamed since version
            0.1.
    """
    path = folder / PLAN
    if not path.exists():
        raise RunError(
            f"{folder}: is not a search: it holds no {PLAN}. Start one with: ostinato tune PRESET --out {folder}"
        )
    saved = SearchRecord.read(path)
    for key in saved.space:
        if present_key(key) != key:  # the journal of trials has the old name
            raise RunError(
                f"{path}: searches {key}, which is now called {present_key(key)}. "
                "Finish this search with Ostinato 0.1, or start it again in another folder."
            )
    try:
        config = parse_toml(saved.config, str(path))
    except ConfigError as error:
        raise RunError(f"{error} Copy the folder again, or start another search.") from None
    return Search(config, saved.space, saved.trials if trials is None else trials, saved.seed)


def refuse_other(search: Search, folder: Path) -> None:
    """Refuse a folder that holds anything but this search, whatever its number of trials.

    Raises:
        RunError: the folder holds something else.
    """
    if (folder / PLAN).exists():
        same = {"trials": search.trials}
        if read_search(folder).record().model_copy(update=same) != search.record():
            raise RunError(
                f"{folder}: holds another search. Choose another --out, or resume that one: ostinato tune --resume "
                f"{shell_path(folder)}"
            )
    elif not is_unused(folder):
        raise RunError(f"{folder}: is not empty. Choose another --out.")


def with_values(config: Config, values: Mapping[str, JsonValue]) -> Config:
    """The config with these values, and without a search.

    Raises:
        ConfigError: a value is invalid.
    """
    settings = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    return override(config.model_copy(update={"search": None}), settings)


def present_key(key: str) -> str:
    """A dotted key of a config, such as `training.clip_norm` of version 0.1, under its present name."""
    table, dot, name = key.rpartition(".")
    return f"{table}{dot}{RENAMED.get(name, name)}"


def _problems(config: Config, key: str, domain: Domain) -> Iterator[str]:
    """What is wrong with a key's domain; each value is tried on the config."""
    keys = config.keys()
    if key not in keys:
        yield f"search: {key}: unknown key. {suggest(key, keys)}See all with: ostinato schema"
        return
    if isinstance(domain, Range):
        if domain.low > domain.high:
            yield f"search: {key}: low {domain.low} is above high {domain.high}. Swap them."
        if domain.log and domain.low <= 0:
            yield f"search: {key}: low {domain.low} has no logarithm. Give a low above 0, or log = false."
    elif not domain:
        yield f"search: {key}: no choices. Give a list of values, or a range as {{low = 1, high = 8}}."
    for value in (domain.low, domain.high) if isinstance(domain, Range) else domain:
        try:
            with_values(config, {key: value})
        except ConfigError as error:
            yield f"search: {str(error).removeprefix('--set: ')}"
