"""The options of `ostinato compare`, checked together and turned into a plan."""

import re
from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from ostinato.comparison.lengths import generated_set, generated_test
from ostinato.comparison.plan import LENGTH, Plan
from ostinato.config import Config, toml_value
from ostinato.errors import ConfigError, suggest
from ostinato.runs.folder import with_absolute_paths
from ostinato.tasks import TASKS
from ostinato.tasks.config import override
from ostinato.tuning.search import present_key

MATCHES = ("parameters", "none")
OWN_OPTIONS = {"training.seed": "--seeds", "data.folds": "--folds", "data.fold": "--folds"}


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
    """Check the options and plan the comparison; nothing is trained.

    Args:
        vary: as `model.cell=rnn,lstm`; each key once.
        seeds: how many, or which, as `0,1,2`.
        metric: by default the task's main metric.

    Raises:
        ConfigError: every problem at once, one a line.
    """
    problems: list[str] = []
    task = TASKS[base.task]
    values = _vary(base, vary, problems)
    numbers = _seeds(seeds, problems)
    lengths = _lengths(base, values.pop(LENGTH, []), problems)
    metric = metric or task.main_metric(base)
    for option, name, choices in (("--match", match, MATCHES), ("--metric", metric, list(task.metrics))):
        if name not in choices:
            problems.append(f"{option} {name}: unknown. {suggest(name, choices)}Choose from: {', '.join(choices)}.")
    if trials < 0:
        problems.append(f"--budget-trials {trials}: expected 0 (no search) or more.")
    if base.data.test_size == 0 and base.data.test_path is None:
        problems.append("data.test_size 0: models are compared on the test split. Set a test split.")
    base = with_absolute_paths(_with_folds(base, folds, problems))
    plan = Plan(base, values, numbers, lengths, match, metric, trials)
    try:
        plan.combinations()
    except ConfigError as error:
        problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))
    return plan


def _vary(base: Config, vary: Sequence[str], problems: list[str]) -> dict[str, list[JsonValue]]:
    """The values of each varied key."""
    values: dict[str, list[JsonValue]] = {}
    for setting in vary:
        key, _, text = (part.strip() for part in setting.partition("="))
        found = list(_key_problems(base, key, text))
        if key in values:
            found.append(f"--vary {key}: given twice. Give all its values at once, separated by commas.")
        problems += found
        if not found:
            values[key] = [toml_value(each) for each in _split(text)]
    return values


def _key_problems(base: Config, key: str, text: str) -> Iterator[str]:
    keys = base.keys()
    if not text:
        yield f"--vary {key}: no values. Write for example: --vary model.cell=rnn,lstm"
    elif present_key(key) != key:
        yield f"--vary {key}: is now called {present_key(key)}. Use the new name."
    elif key not in keys:
        yield f"--vary {key}: unknown key. {suggest(key, keys)}See all with: ostinato schema"
    elif key in OWN_OPTIONS:
        yield f"--vary {key}: use the option {OWN_OPTIONS[key]} instead."
    values = _split(text)
    for value in dict.fromkeys(values):
        if values.count(value) > 1:
            yield f"--vary {key}: {value} is given {values.count(value)} times. Give each value once."


def _split(text: str) -> list[str]:
    """Split at the commas outside brackets."""
    return [part.strip() for part in re.split(r",(?![^\[]*\])", text)] if text else []


def _seeds(text: str, problems: list[str]) -> list[int]:
    if not re.fullmatch(r"\d+(\s*,\s*\d+)*,?", text.strip()):
        problems.append(f"--seeds {text}: expected how many (5) or which (0,1,2).")
        return []
    numbers = [int(part) for part in text.split(",") if part.strip()]
    if "," not in text:
        numbers = list(range(numbers[0]))
    repeated = sorted({number for number in numbers if numbers.count(number) > 1})
    if repeated:
        problems.append(
            f"--seeds {text}: {', '.join(map(str, repeated))} given more than once, which repeats the same run. "
            "Give each seed once."
        )
    if not numbers:
        problems.append("--seeds 0: expected at least one seed.")
    return numbers


def _lengths(base: Config, values: Sequence[JsonValue], problems: list[str]) -> list[int]:
    """The lengths of test sequences to generate."""
    if values and generated_set(base) is None:
        data = base.data.name or base.data.path
        problems.append(f"--vary {LENGTH}: {data} is not generated, so its lengths are fixed. Remove the option.")
        return []
    lengths = [value for value in values if isinstance(value, int) and not isinstance(value, bool) and value > 0]
    problems += [
        f"--vary {LENGTH}: {value!r} is not a length. Write for example: --vary data.length=20,200,2000"
        for value in values
        if value not in lengths
    ]
    for length in lengths:
        try:
            generated_test(base, length)
        except ConfigError as error:
            problems.append(f"--vary {LENGTH}: {error}")
    return lengths


def _with_folds(base: Config, folds: int | None, problems: list[str]) -> Config:
    """The config, cross-validated."""
    if folds is None:
        return base
    if not hasattr(base.data, "folds"):
        problems.append(f"--folds {folds}: task {base.task} does not support cross-validation. Remove it.")
        return base
    try:
        return override(base, [f"data.folds={folds}"])
    except ConfigError as error:
        problems.append(str(error).replace("--set: data.folds", "--folds"))
        return base
