"""Configs from mappings and TOML files, and back; every problem is reported at once, one a line."""

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ostinato.config.tables import FROM_FILE, NONE, OLD_RUN, Config
from ostinato.errors import ConfigError, suggest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Union = Mapping[str, type[Config]]  # the config of each task
DEFAULT_TASK = "classification"


def parse(union: Union, values: Mapping[str, Any], source: str, *, needs_data: bool, is_old: bool = False) -> Config:
    """Check a nested mapping and make it the config of the task that it names.

    Args:
        source: names the mapping in messages.
        needs_data: whether it must name its data.
        is_old: version 0.1 wrote it, so its keys may have old names.

    Raises:
        ConfigError: an unknown task or key, a value of a wrong type or out of range; every problem at once.
    """
    task = values.get("task", DEFAULT_TASK)
    if not isinstance(task, str) or task not in union:
        hint = suggest(task, union) if isinstance(task, str) else ""
        raise ConfigError(f"{source}: task: unknown value {task!r}. {hint}Choose from: {', '.join(sorted(union))}.")
    try:
        return union[task].model_validate(values, context={FROM_FILE: needs_data, OLD_RUN: is_old})
    except ValidationError as error:
        problems = "\n".join(f"{source}: {problem}" for problem in _describe(error, union, task))
        raise ConfigError(problems) from None


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
    except (IsADirectoryError, PermissionError) as error:
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


def toml_value(text: str) -> Any:
    """A value as TOML reads it, or the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def to_toml(config: Config) -> str:
    """Write every key of `config`, so that the file has everything the run depends on."""
    tables = {name: dict(_with_none(getattr(config, name))) for name in Config.TABLES}
    return tomli_w.dumps({"task": config.task, **tables})


def _with_none(table: BaseModel) -> Iterator[tuple[str, Any]]:
    for key, field in type(table).model_fields.items():
        value = getattr(table, key)
        if value is not None:
            yield key, value
        elif field.default is not None:
            yield key, NONE


def with_settings(config: Config, settings: Iterable[str]) -> dict[str, Any]:
    """The values of a config, changed by settings such as `model.cell=gru`.

    Values are parsed as TOML, or taken as plain strings. Keys at their default are omitted, so that a change of task
    brings that task's own defaults.

    Raises:
        ConfigError: a setting is not of the form table.key=value.
    """
    values: dict[str, Any] = {table: {} for table in Config.TABLES} | config.model_dump(exclude_defaults=True)
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
    seen = set()
    for problem in error.errors():
        where = [str(part) for part in problem["loc"]]
        key = ".".join(where[:2])
        if key not in seen:  # a union of types reports one problem for each of its members
            seen.add(key)
            yield f"{key or 'config'}: {_sentence(where, problem, error.errors(), union, task)}"


def _sentence(where: list[str], problem: ErrorDetails, problems: list[ErrorDetails], union: Union, task: str) -> str:
    kind, value, context = problem["type"], problem["input"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(where, union, task)
    same_key = [each for each in problems if each["loc"][:2] == problem["loc"][:2]]
    if kind == "literal_error" and (isinstance(value, str) or len(same_key) == 1):
        choices = re.findall(r"'([^']*)'", context["expected"])
        hint = suggest(value, choices) if isinstance(value, str) else ""
        return f"unknown value {value!r}. {hint}Choose from: {', '.join(sorted(choices))}."
    if kind == "missing":
        return "missing. Add this table: it says where the sequences come from."
    if kind == "value_error":
        return f"{context['error']}."
    expected = [str(each["msg"]).removeprefix("Input should be ") for each in same_key]
    shown = "nan" if isinstance(value, float) and math.isnan(value) else json.dumps(value, default=str)
    return f"{shown} is not valid. Expected: {' or '.join(dict.fromkeys(expected))}."


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
