"""What is to be compared: every combination of the varied keys, over every seed and fold."""

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ostinato.config import Config, override, parse_toml, to_toml, toml_value
from ostinato.data.named import generated_test, is_generated
from ostinato.errors import ConfigError, RunError, suggest
from ostinato.evaluation.metrics import CLASSIFICATION_METRICS
from ostinato.evaluation.results import Metric
from ostinato.evaluation.tagging import TAGGING_METRICS
from ostinato.runs import with_absolute_paths
from ostinato.storage import FORMAT, check_format

MATCHES = ("parameters", "none")
LENGTH, FRACTION = "data.length", "data.train_fraction"
METRICS_OF: dict[str, dict[str, Metric]] = {"classification": CLASSIFICATION_METRICS, "tagging": TAGGING_METRICS}
PLAN = "plan.json"


@dataclass(frozen=True)
class Combination:
    """One configuration that is trained with every seed.

    Args:
        settings: the varied keys with this combination's values, as texts.
        config: as it is trained, but for the seed and the fold.
    """

    settings: dict[str, str]
    config: Config

    @property
    def name(self) -> str:
        """What the combination is called in sentences: `gru`, or `gru, num_layers 2`."""
        return describe(self.settings)


@dataclass(frozen=True)
class Job:
    """One run of a comparison."""

    combination: Combination
    seed: int
    fold: int | None

    @property
    def config(self) -> Config:
        config = self.combination.config
        training = config.training.model_copy(update={"seed": self.seed})
        data = config.data if self.fold is None else config.data.model_copy(update={"fold": self.fold})
        return config.model_copy(update={"training": training, "data": data})

    @property
    def folder(self) -> str:
        """The run's folder within the comparison's."""
        part = "" if self.fold is None else f"-fold-{self.fold}"
        return f"runs/{slug(self.combination.settings)}/seed-{self.seed}{part}"

    def __str__(self) -> str:
        return f"{self.combination.name}, seed {self.seed}" + ("" if self.fold is None else f", fold {self.fold + 1}")


@dataclass(frozen=True)
class Plan:
    """A comparison, before anything is trained.

    Args:
        base: the config that is varied.
        vary: the values of each varied key, in the order given.
        seeds: of the trainings.
        lengths: lengths of generated test sequences; each model is trained once, at the config's own, and tested at all.
        match: `parameters` or `none`.
        metric: what the pairs are compared by.
        trials: of the search that each combination gets before it is trained; 0: none.
    """

    base: Config
    vary: dict[str, list[Any]]
    seeds: list[int]
    lengths: list[int]
    match: str
    metric: str
    trials: int = 0

    def combinations(self) -> list[Combination]:
        """Every combination of the varied keys, checked; sizes are as the base config has them.

        Raises:
            ConfigError: combinations that cannot work, all faults at once.
        """
        found, faults = [], []
        for values in itertools.product(*self.vary.values()):
            settings = dict(zip(self.vary, map(text_of, values), strict=True))
            try:
                config = override(
                    self.base, [f"{key}={toml_text(value)}" for key, value in zip(self.vary, values, strict=True)]
                )
            except ConfigError as error:
                faults += [line.removeprefix("--set: ") for line in str(error).splitlines()]
                continue
            if not is_repeated(config):
                found.append(Combination(settings, config))
        if faults:
            raise ConfigError("\n".join(f"--vary: {fault}" for fault in dict.fromkeys(faults)))
        return found

    def jobs(self, combinations: Sequence[Combination]) -> list[Job]:
        """Every run: seed by seed, so that a comparison that is stopped early has all combinations."""
        folds = range(self.base.data.folds) if self.base.data.folds else [None]
        return [Job(combination, seed, fold) for seed in self.seeds for fold in folds for combination in combinations]

    def to_json(self) -> dict[str, Any]:
        values = {key: getattr(self, key) for key in ("vary", "seeds", "lengths", "match", "metric", "trials")}
        return {"format": FORMAT, "config": to_toml(self.base), **values}


def make_plan(
    base: Config,
    vary: Sequence[str],
    *,
    seeds: str = "5",
    folds: int | None = None,
    match: str = "parameters",
    metric: str | None = None,
    trials: int = 0,
) -> Plan:
    """Read what was asked for; nothing is trained, and nothing is missing that could be told now.

    Args:
        vary: as `model.cell=rnn,lstm`; each key once.
        seeds: how many, or which, as `0,1,2`.
        metric: None: accuracy; of taggers that are trained for it, F1.

    Raises:
        ConfigError: every fault at once, one a line.
    """
    faults: list[str] = []
    values: dict[str, list[Any]] = {}
    for setting in vary:
        key, _, text = (part.strip() for part in setting.partition("="))
        found = list(_key_faults(base, key, text, values))
        faults += found
        if not found:
            values[key] = [toml_value(each) for each in _split(text)]
    numbers = _seeds(seeds, faults)
    lengths = [each for each in values.pop(LENGTH, []) if _is_length(base, each, faults)]
    metric = metric or ("f1" if base.training.monitor == "f1" else "accuracy")
    for name, table, kind in ((match, MATCHES, "match"), (metric, METRICS_OF[base.task], "metric")):
        if name not in table:
            faults.append(f"--{kind} {name}: unknown. {suggest(name, table)}Choose from: {', '.join(table)}.")
    if trials < 0:
        faults.append(f"--budget-trials {trials}: expected 0 (no search) or more.")
    if base.task == "tagging" and folds is not None:
        faults.append("--folds: is for classification. Leave it away: a tagger's splits are drawn or given.")
        folds = None
    if base.data.test_size == 0 and base.data.test_path is None:
        faults.append("data.test_size 0: models are compared on test rows. Set a test split.")
    if folds is not None:
        base = override(base, [f"data.folds={folds}"])
    plan = Plan(with_absolute_paths(base), values, numbers, lengths, match, metric, trials)
    try:
        plan.combinations()
    except ConfigError as error:
        faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(dict.fromkeys(faults)))
    return plan


def read_plan(folder: Path) -> Plan:
    """The plan of a comparison that was begun.

    Raises:
        RunError: there is none at that place, or it was altered.
    """
    path = folder / PLAN
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        check_format(path, int(content.pop("format")))
        return Plan(parse_toml(content.pop("config"), str(path)), **content)
    except FileNotFoundError:
        raise RunError(
            f"{folder}: is not a comparison: it holds no {PLAN}. Start one with: ostinato compare PRESET --vary … --out {folder}"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise RunError(
            f"{path}: altered, not the plan that was written. Copy the folder again, or compare anew."
        ) from None


def describe(settings: dict[str, str]) -> str:
    """Varied settings in a few words: the cell's name says enough of it."""
    told = [
        value if key in ("model.cell", "model.pooling") else f"{key.rpartition('.')[2]} {value}"
        for key, value in settings.items()
    ]
    return ", ".join(told) or "the config"


def slug(settings: dict[str, str]) -> str:
    """Varied settings as a folder's name."""
    return (
        re.sub(r"[^\w.=,+-]+", "_", ",".join(f"{key.rpartition('.')[2]}={value}" for key, value in settings.items()))
        or "config"
    )


def text_of(value: Any) -> str:
    """A value as it is told and as it can be given again."""
    if isinstance(value, bool):
        return str(value).lower()
    return "+".join(map(text_of, value)) if isinstance(value, list) else str(value)


def toml_text(value: Any) -> str:
    """A value as `override` reads it."""
    return json.dumps(value)


def is_repeated(config: Config) -> bool:
    """Whether it is the same model as without `residual`, which acts from the second layer on."""
    return config.model.residual and config.model.num_layers == 1


def with_hidden_size(combination: Combination, size: int) -> Combination:
    model = combination.config.model.model_copy(update={"hidden_size": size})
    return replace(combination, config=combination.config.model_copy(update={"model": model}))


def _key_faults(base: Config, key: str, text: str, seen: dict[str, list[Any]]) -> Iterator[str]:
    keys = [f"{table}.{name}" for table in ("data", "model", "training") for name in base.model_dump()[table]]
    if not text:
        yield f"--vary {key}: no values. Write for example: --vary model.cell=rnn,lstm"
    elif key not in keys:
        yield f"--vary {key}: unknown key. {suggest(key, keys)}See all with: ostinato schema"
    elif key in ("training.seed", "data.folds", "data.fold"):
        yield f"--vary {key}: has an option of its own: {'--seeds' if key == 'training.seed' else '--folds'}."
    elif key in seen:
        yield f"--vary {key}: given twice. Give all its values at once, parted by commas."
    for value, count in ((each, _split(text).count(each)) for each in dict.fromkeys(_split(text))):
        if count > 1:
            yield f"--vary {key}: {value} is given {count} times. Give each value once."


def _split(text: str) -> list[str]:
    """Values at the commas that stand in no bracket."""
    return [part.strip() for part in re.split(r",(?![^\[]*\])", text)] if text else []


def _seeds(text: str, faults: list[str]) -> list[int]:
    if not re.fullmatch(r"\d+(\s*,\s*\d+)*,?", text.strip()):
        faults.append(f"--seeds {text}: expected how many (5) or which (0,1,2).")
        return []
    numbers = [int(part) for part in text.split(",") if part.strip()]
    if "," not in text:
        numbers = list(range(numbers[0]))
    repeated = sorted({number for number in numbers if numbers.count(number) > 1})
    if repeated:
        faults.append(
            f"--seeds {text}: {', '.join(map(str, repeated))} given more than once: the same run twice is no evidence. Give each seed once."
        )
    if not numbers:
        faults.append("--seeds 0: expected at least one seed.")
    return numbers


def _is_length(base: Config, value: Any, faults: list[str]) -> bool:
    if not is_generated(base.data):
        faults.append(
            f"--vary {LENGTH}: {base.data.name or base.data.path} is not generated: its sequences have the lengths they have."
        )
    elif not isinstance(value, int) or isinstance(value, bool) or value < 1:
        faults.append(f"--vary {LENGTH}: {value!r} is not a length. Write for example: --vary data.length=20,200,2000")
    else:
        try:
            generated_test(base.data, value)
        except ConfigError as error:
            faults.append(f"--vary {LENGTH}: {error}")
        return True
    return False
