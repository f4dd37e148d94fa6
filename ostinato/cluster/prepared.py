"""Data that this machine prepares once and sends to the nodes, so that they need no file of it."""

from typing import Any

from ostinato.cluster.nodes import Cluster
from ostinato.config import Config
from ostinato.tasks import TASKS


class PreparedData:
    """The prepared data of configs, as references for `Pool.submit`. Configs with the same data share them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._references: dict[tuple[str, str | None], Any] = {}

    def of(self, config: Config) -> Any:
        """A reference to the config's `TaskData`.

        Raises:
            OstinatoError: the data cannot be used.
        """
        key = (config.data.model_dump_json(), config.model.init)
        if key not in self._references:
            self._references[key] = self._cluster.put(TASKS[config.task].prepare_for(config))
        return self._references[key]
