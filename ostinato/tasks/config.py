"""Read, check and change the config of any task. The key `task` selects the keys and defaults that apply."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ostinato.config import Config, reading
from ostinato.tasks import TASKS
from ostinato.tasks.init import with_encoder

CONFIGS: Mapping[str, type[Config]] = {name: task.config for name, task in TASKS.items()}
PRESETS: Mapping[str, Callable[[], Config]] = {
    name: preset for task in TASKS.values() for name, preset in task.presets.items()
}


def parse_config(values: Mapping[str, Any], source: str = "config") -> Config:
    """Build a checked config from a nested mapping; `model.init` fills in the keys that it leaves out.

    Args:
        values: includes `task`, which selects the task.
        source: names the mapping in messages.

    Raises:
        ConfigError: unknown keys, or values of the wrong type or out of range; lists every problem, one per line.
    """
    return with_encoder(reading.parse(CONFIGS, values, source, needs_data=True), source)


def read_config(path: Path) -> Config:
    """Read a TOML file.

    Raises:
        ConfigError: the file is missing, is not TOML, or has problems (see `parse_config`).
    """
    return parse_config(reading.read_toml(path), str(path))


def read_run_config(path: Path) -> Config:
    """Read the config of a run folder, including those that version 0.1 wrote.

    Raises:
        ConfigError: see `read_config`.
    """
    return reading.parse(CONFIGS, reading.read_toml(path), str(path), needs_data=True, is_old=True)


def parse_toml(text: str, source: str) -> Config:
    """Read the TOML text of a config that Ostinato wrote.

    Args:
        source: names the text in messages.

    Raises:
        ConfigError: the text is not TOML, or has problems (see `parse_config`).
    """
    return reading.parse(CONFIGS, reading.parse_toml(text, source), source, needs_data=True, is_old=True)


def override(config: Config, settings: Iterable[str]) -> Config:
    """Apply settings such as `model.cell=gru`. A value that is not TOML is read as a string.

    Raises:
        ConfigError: a setting has no `=`, or any problem that `parse_config` finds.
    """
    return parse_config(reading.with_settings(config, settings), "--set")


def json_schema() -> str:
    """The JSON Schema of all configs, for editors and other programs."""
    return reading.json_schema(CONFIGS)
