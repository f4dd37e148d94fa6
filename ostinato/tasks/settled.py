"""Write what was chosen from the data into a config."""

from collections.abc import Mapping
from typing import Any

from ostinato.config import Config
from ostinato.config.reading import parse
from ostinato.tasks.records import TaskData


def settled(config: Config, data: TaskData, model: Mapping[str, Any], training: Mapping[str, Any]) -> Config:
    """The config with the data table of the prepared data, and with a value for each key that is `auto`.

    Args:
        model: a value for each key of the table that can be `auto`.
        training: the same.

    Raises:
        ConfigError: a chosen value contradicts one that was given.
    """
    values = config.model_dump() | {"data": data.config.model_dump()}
    for table, chosen in (("model", model), ("training", training)):
        values[table] |= {key: chosen[key] for key in getattr(config, table).open_keys()}
    return parse({config.task: type(config)}, values, "config", needs_data=False)
