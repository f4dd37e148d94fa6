"""Configs from mappings and TOML files, and back; every problem is reported at once, one a line."""

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ostinato.config.tables import FROM_FILE, NONE, OLD_RUN, Config
from ostinato.errors import ConfigError, suggest
from ostinato.printable import shortened

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Union = Mapping[str, type[Config]]  # the config of each task
DEFAULT_TASK = "classification"
MOST_PROBLEMS = 50  # of a config, in one message
LONGEST_SENTENCE = 2_000  # characters
DEEPEST = 8  # tables and lists within each other
SURROGATE = re.compile("[\ud800-\udfff]")


def parse(union: Union, values: Mapping[str, Any], source: str, *, needs_data: bool, is_old: bool = False) -> Config:
    """Check a nested mapping and make it the config of the task that it names.

    Args:
        source: names the mapping in messages.
        needs_data: whether it must name its data.
        is_old: version 0.1 wrote it, so its keys may have old names.

    Raises:
        ConfigError: an unknown task or key, a value of a wrong type or out of range; every problem at once.
    """
    unusable = list(islice(_unusable(values, source), MOST_PROBLEMS))
    if unusable:
        raise ConfigError("\n".join(unusable))
    task = values.get("task", DEFAULT_TASK)
    if not isinstance(task, str) or task not in union:
        hint = suggest(task, union) if isinstance(task, str) else ""
        raise ConfigError(
            f"{source}: task: unknown value {shortened(repr(task))}. {hint}Choose from: {', '.join(sorted(union))}."
        )
    try:
        return union[task].model_validate(values, context={FROM_FILE: needs_data, OLD_RUN: is_old})
    except ValidationError as error:
        problems = [f"{source}: {problem}" for problem in islice(_describe(error, union, task), MOST_PROBLEMS + 1)]
        more = ["… and more."] if len(problems) > MOST_PROBLEMS else []
        raise ConfigError("\n".join(problems[:MOST_PROBLEMS] + more)) from None


def _unusable(values: Mapping[str, Any], source: str) -> Iterator[str]:
    """A sentence for each value that no key can have, and that other programs could not read back."""
    pending: list[tuple[tuple[str, ...], Any]] = [((), values)]
    while pending:
        where, value = pending.pop()
        reason = None
        if isinstance(value, Mapping | list):
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            if len(where) < DEEPEST:
                pending += [((*where, str(key)), each) for key, each in items]
            else:
                reason = "nested too deeply. Give a plain value, or a list of them"
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            reason = f"an integer of {value.bit_length():,} bits. Expected at most 64"
        elif isinstance(value, str) and "\0" in value:
            reason = f"{_shown(value)} holds a NUL character. Remove it"
        elif isinstance(value, str) and not value.isascii() and SURROGATE.search(value):
            reason = f"{_shown(value)} is not valid Unicode. Rename the file, or correct the text"
        if reason is not None:
            yield f"{source}: {shortened('.'.join(where[:2]))}: {reason}."


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: the file is missing or is not TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: file not found. Write a config with: ostinato init PRESET|FILE > {path.name}"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Name a TOML file.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: {error}. Save it as UTF-8.") from None
    return parse_toml(text, str(path))


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """The values of TOML text; `source` names it in messages.

    Raises:
        ConfigError: it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not a TOML file: {error}. Correct that line.") from None
    except RecursionError:
        raise ConfigError(f"{source}: a value is nested too deeply. A config has lists of plain values.") from None
    except ValueError:  # Python limits the digits of an integer that it reads
        raise ConfigError(f"{source}: an integer has thousands of digits. Expected at most 64 bits.") from None


def toml_value(text: str) -> Any:
    """A value as TOML reads it, or the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # not TOML, an integer of thousands of digits, or nested too deeply
        return text


def to_toml(config: Config) -> str:
    """Write every key of `config`, so that the file has everything the run depends on."""
    tables = {name: dict(_with_none(getattr(config, name))) for name in Config.TABLES}
    return tomli_w.dumps({"task": config.task, **tables})


def to_commented_toml(config: Config) -> str:
    """Write the keys that were set; the others are comments with their defaults, to be changed."""
    lines = [tomli_w.dumps({"task": config.task})]
    for name in Config.TABLES:
        table = getattr(config, name)
        lines.append(f"[{name}]\n")
        for key, value in _with_none(table):
            text = tomli_w.dumps({key: value})
            lines.append(text if key in table.model_fields_set else re.sub("(?m)^", "# ", text.rstrip("\n")) + "\n")
        lines.append("\n")
    return "".join([lines[0], "\n", *lines[1:-1]])


def _with_none(table: BaseModel) -> Iterator[tuple[str, Any]]:
    for key, field in type(table).model_fields.items():
        value = getattr(table, key)
        if value is not None:
            yield key, value
        elif field.default is not None:
            yield key, NONE


def with_settings(config: Config, settings: Iterable[str]) -> dict[str, Any]:
    """The values of a config, changed by settings such as `model.cell=gru`.

    Values are parsed as TOML, or taken as plain strings. Keys that the config does not set stay so. With another task,
    keys at their default are omitted, so that it brings its own defaults.

    Raises:
        ConfigError: a setting is not of the form table.key=value.
    """
    settings = list(settings)
    changes_task = any(setting.partition("=")[0].strip() == "task" for setting in settings)
    given = config.model_dump(exclude_defaults=True) if changes_task else config.model_dump(exclude_unset=True)
    values: dict[str, Any] = {table: {} for table in Config.TABLES} | given
    for setting in settings:
        key, equals, text = setting.partition("=")
        table, _, name = key.strip().rpartition(".")
        if not equals or (table not in Config.TABLES if table else name != "task"):
            hint = suggest(key, config.keys())
            raise ConfigError(
                f"--set {setting}: not of the form table.key=value. {hint}Write for example: --set model.cell=gru"
            )
        (values[table] if table else values)[name] = toml_value(text.strip())
        if (table, name) == ("data", "path"):
            values["data"]["name"] = None
    return {"task": config.task, **values}


def json_schema(union: Union) -> str:
    """The JSON Schema of all configs, for editors and programs: one per task, with `task` as the discriminator."""
    from pydantic.json_schema import models_json_schema

    refs, schema = models_json_schema(
        [(config, "validation") for config in union.values()],
        ref_template="#/$defs/{model}",
        title="Ostinato config",
        description="A training of one task; `task` says which.",
    )
    mapping = {task: refs[config, "validation"]["$ref"] for task, config in union.items()}
    for task, ref in mapping.items():
        if task != DEFAULT_TASK:  # a config without `task` is one of the default task alone
            schema["$defs"][ref.rpartition("/")[2]]["required"].append("task")
    one_of = [{"$ref": ref} for ref in mapping.values()]
    union_schema = {"oneOf": one_of, "discriminator": {"propertyName": "task", "mapping": mapping}}
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps({**dialect, **schema, **union_schema}, indent=2)


def _describe(error: ValidationError, union: Union, task: str) -> Iterator[str]:
    """One plain sentence for each problem that pydantic found."""
    by_key: dict[tuple[int | str, ...], list[ErrorDetails]] = {}
    for problem in error.errors():
        by_key.setdefault(problem["loc"][:2], []).append(problem)
    for key, problems in by_key.items():  # a union of types reports one problem for each of its members
        where = [str(part) for part in problems[0]["loc"]]
        yield f"{shortened('.'.join(map(str, key))) or 'config'}: {_sentence(where, problems, union, task)}"


def _sentence(where: list[str], problems: list[ErrorDetails], union: Union, task: str) -> str:
    """What is wrong with a key, in a sentence; all problems are of the same key."""
    problem = problems[0]
    kind, value, context = problem["type"], problem["input"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(where, union, task)
    if kind == "literal_error" and (isinstance(value, str) or len(problems) == 1):
        expected = [each.get("ctx", {}).get("expected", "") for each in problems]
        choices = re.findall(r"'([^']*)'", " ".join(expected))
        hint = suggest(value, choices) if isinstance(value, str) else ""
        return f"unknown value {shortened(repr(value))}. {hint}Choose from: {', '.join(sorted(choices))}."
    if kind == "missing":
        return "missing. Add this table: it says where the sequences come from."
    if kind == "value_error":
        return f"{shortened(str(context['error']), LONGEST_SENTENCE)}."
    expected = [str(each["msg"]).removeprefix("Input should be ") for each in problems]
    return f"{_shown(value)} is not valid. Expected: {' or '.join(dict.fromkeys(expected))}."


def _shown(value: Any) -> str:
    """The value as JSON, shortened."""
    is_nan = isinstance(value, float) and math.isnan(value)
    return "nan" if is_nan else shortened(json.dumps(value, default=str, skipkeys=True))


def _unknown_key(where: list[str], union: Union, task: str) -> str:
    """Suggest the key to write instead, or name the tasks that have it."""
    fields = _fields(union[task], where[:-1])
    others = [other for other, config in union.items() if where[-1] in _fields(config, where[:-1])]
    if others:
        return f"not a key of task {task}, only of {', '.join(sorted(others))}. Remove it, or change the task."
    return f"unknown key. {suggest(where[-1], fields)}Choose from: {', '.join(sorted(fields))}."


def _fields(config: type[BaseModel], tables: list[str]) -> Iterable[str]:
    for table in tables:
        annotation = config.model_fields[table].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return ()
        config = annotation
    return config.model_fields
