"""What is compared: every combination of the varied keys, with every seed and fold."""

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from ostinato.comparison.results import PlanRecord, Settings
from ostinato.config import Config, to_toml
from ostinato.errors import ConfigError, RunError
from ostinato.storage import FORMAT
from ostinato.tasks.config import override, parse_toml
from ostinato.tuning.search import present_key

LENGTH, FRACTION = "data.length", "data.train_fraction"
PLAN = "plan.json"


@dataclass(frozen=True)
class Combination:
    """One configuration, trained with every seed.

    Args:
        settings: each varied key with this combination's value, as text.
        config: complete but for the seed and the fold.
    """

    settings: Settings
    config: Config

    @property
    def name(self) -> str:
        """Its name in sentences: `gru`, or `gru, num_layers 2`."""
        return describe(self.settings)


@dataclass(frozen=True)
class Job:
    """One run of a comparison.

    Args:
        fold: its test fold, from 0; None without cross-validation.
    """

    combination: Combination
    seed: int
    fold: int | None

    @property
    def config(self) -> Config:
        """The run's config."""
        config = self.combination.config
        training = config.training.model_copy(update={"seed": self.seed})
        data = config.data if self.fold is None else config.data.model_copy(update={"fold": self.fold})
        return config.model_copy(update={"training": training, "data": data})

    @property
    def folder(self) -> str:
        """The run's folder within the comparison's."""
        fold = "" if self.fold is None else f"-fold-{self.fold}"
        return f"runs/{slug(self.combination.settings)}/seed-{self.seed}{fold}"

    def __str__(self) -> str:
        return f"{self.combination.name}, seed {self.seed}" + ("" if self.fold is None else f", fold {self.fold + 1}")


@dataclass(frozen=True)
class Plan:
    """A comparison before its trainings.

    Args:
        base: the config that is varied.
        vary: the values of each varied key, in the order given.
        seeds: one training of each combination for each seed.
        lengths: of generated test sequences; each model is trained once, at the config's own length, and tested at all.
        match: `parameters` or `none`.
        metric: models are compared by this metric.
        trials: of the search that tunes each combination before its trainings; 0 means no search.
    """

    base: Config
    vary: dict[str, list[JsonValue]]
    seeds: list[int]
    lengths: list[int]
    match: str
    metric: str
    trials: int = 0

    def combinations(self) -> list[Combination]:
        """Every combination of the varied keys, checked; hidden sizes are those of the base config.

        Raises:
            ConfigError: combinations that are not valid configs; every problem at once, one a line.
        """
        found, problems = [], []
        for values in itertools.product(*self.vary.values()):
            settings = dict(zip(self.vary, map(format_value, values), strict=True))
            changes = [f"{key}={json.dumps(value)}" for key, value in zip(self.vary, values, strict=True)]
            try:
                config = override(self.base, changes)
            except ConfigError as error:
                problems += [line.removeprefix("--set: ") for line in str(error).splitlines()]
                continue
            if not _is_repeated(config):
                found.append(Combination(settings, config))
        if problems:
            raise ConfigError("\n".join(f"--vary: {problem}" for problem in dict.fromkeys(problems)))
        return found

    def jobs(self, combinations: Sequence[Combination]) -> list[Job]:
        """Every run, seed by seed, so that a comparison that is stopped early has runs of all combinations."""
        folds = range(self.num_folds) if self.num_folds else [None]
        return [Job(combination, seed, fold) for seed in self.seeds for fold in folds for combination in combinations]

    @property
    def num_folds(self) -> int | None:
        """The number of folds; None without cross-validation."""
        return getattr(self.base.data, "folds", None)

    def record(self) -> PlanRecord:
        """The plan as it is saved."""
        return PlanRecord(
            format=FORMAT,
            config=to_toml(self.base),
            vary=self.vary,
            seeds=self.seeds,
            lengths=self.lengths,
            match=self.match,
            metric=self.metric,
            trials=self.trials,
        )


def read_plan(folder: Path) -> Plan:
    """The plan of a comparison that was started, also by version 0.1.

    Raises:
        RunError: the folder holds no plan, it was altered, or it varies a key that has been renamed since version 0.1.
    """
    path = folder / PLAN
    if not path.exists():
        raise RunError(
            f"{folder}: is not a comparison: it holds no {PLAN}. "
            f"Start one with: ostinato compare PRESET --vary … --out {folder}"
        )
    saved = PlanRecord.read(path)
    for key in saved.vary:
        if present_key(key) != key:  # the folders of its runs carry the old name
            raise RunError(
                f"{path}: varies {key}, which is now called {present_key(key)}. "
                "Finish this comparison with Ostinato 0.1, or start it again in another folder."
            )
    try:
        base = parse_toml(saved.config, str(path))
    except ConfigError as error:
        raise RunError(f"{error} Copy the folder again, or start another comparison.") from None
    return Plan(base, saved.vary, saved.seeds, saved.lengths, saved.match, saved.metric, saved.trials)


def describe(settings: Settings) -> str:
    """Varied settings in a few words; cells and poolings go by their name alone."""
    words = [
        value if key in ("model.cell", "model.pooling") else f"{key.rpartition('.')[2]} {value}"
        for key, value in settings.items()
    ]
    return ", ".join(words) or "the config"


def slug(settings: Settings) -> str:
    """Varied settings as a folder's name."""
    text = ",".join(f"{key.rpartition('.')[2]}={value}" for key, value in settings.items())
    return re.sub(r"[^\w.=,+-]+", "_", text) or "config"


def format_value(value: JsonValue) -> str:
    """A value as it is shown and as `--vary` accepts it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "+".join(map(format_value, value)) if isinstance(value, list) else str(value)


def with_size(config: Config, size: int) -> Config:
    """The config with another hidden size."""
    return config.model_copy(update={"model": config.model.model_copy(update={"hidden_size": size})})


def _is_repeated(config: Config) -> bool:
    """Whether it is the same model as without `residual`, which acts from the second layer on."""
    return config.model.residual and config.model.num_layers == 1
