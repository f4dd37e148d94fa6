"""The configs of all tasks: read, checked, changed; `task` says whose keys and defaults hold."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ostinato.config import Config, reading
from ostinato.tasks import TASKS

CONFIGS: Mapping[str, type[Config]] = {name: task.config for name, task in TASKS.items()}
PRESETS: Mapping[str, Callable[[], Config]] = {
    name: preset for task in TASKS.values() for name, preset in task.presets.items()
}


def parse_config(values: Mapping[str, Any], source: str = "config") -> Config:
    """Check a nested mapping and make it the config of the task that it names.

    Raises:
        ConfigError: keys are unknown, values of a wrong type or out of range; every problem at once, one a line.
    """
    return reading.parse(CONFIGS, values, source, needs_data=True)


def read_config(path: Path) -> Config:
    """Read a TOML file.

    Raises:
        ConfigError: the file is missing, is not TOML, or has problems (see `parse_config`).
    """
    return parse_config(reading.read_toml(path), str(path))


def read_run_config(path: Path) -> Config:
    """Read the TOML file that a run keeps, also one of version 0.1; otherwise as `read_config`."""
    return reading.parse(CONFIGS, reading.read_toml(path), str(path), needs_data=True, is_old=True)


def parse_toml(text: str, source: str) -> Config:
    """Read the TOML text of a config that Ostinato wrote; `source` names it in messages.

    Raises:
        ConfigError: it is not TOML, or has problems (see `parse_config`).
    """
    return reading.parse(CONFIGS, reading.parse_toml(text, source), source, needs_data=True, is_old=True)


def override(config: Config, settings: Iterable[str]) -> Config:
    """Apply settings such as `model.cell=gru`; values are read as TOML, else as plain strings.

    Raises:
        ConfigError: a setting without `=`, or any problem that `parse_config` finds.
    """
    return parse_config(reading.with_settings(config, settings), "--set")


def json_schema() -> str:
    """The JSON Schema of all configs, for editors and programs."""
    return reading.json_schema(CONFIGS)
