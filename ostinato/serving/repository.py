"""The models that are served; each can be replaced while requests run."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ostinato.errors import suggest
from ostinato.serving.batching import Batcher, InferenceThread
from ostinato.serving.faults import ServiceError
from ostinato.serving.metrics import Measured
from ostinato.serving.settings import Settings
from ostinato.storage import file_digest
from ostinato.tasks.model_file import load_model, model_file
from ostinato.tasks.served import ModelFacts, ServedModel

DIGITS = 12  # of a version


@dataclass(frozen=True)
class Entry:
    """One version of a model, with the queue of its requests.

    Args:
        version: the first digits of the SHA-256 of its file, the same in every process.
        facts: of `served`.
        examples: up to five inputs to try.
        obstacle: why it cannot answer sequences that arrive in pieces; None if it can.
    """

    name: str
    version: str
    served: ServedModel
    facts: ModelFacts
    examples: list[Any]
    batcher: Batcher
    obstacle: str | None

    def described(self) -> dict[str, Any]:
        """What `/models` says of it."""
        facts, model = self.facts._asdict(), self.served.model
        del facts["ids"]
        shape = model.config.model
        return {
            "name": self.name,
            "task": model.task.name,
            "version": self.version,
            **facts,
            "members": len(model.members),
            "cell": shape.cell,
            "num_layers": shape.num_layers,
            "hidden_size": shape.hidden_size,
            "bidirectional": shape.bidirectional,
            "parameters": sum(weights.numel() for weights in model.network.parameters()),
            "streams": self.obstacle is None,
            "examples": self.examples,
        }


class Repository:
    """The models by name. A request keeps the version that it started with.

    Args:
        settings: the path of each name, and the limits of the queues.
        thread: runs the models.
        measured: counts batches and versions.
    """

    def __init__(self, settings: Settings, thread: InferenceThread, measured: Measured) -> None:
        self._settings, self._thread, self._measured = settings, thread, measured
        self.entries: dict[str, Entry] = {}
        self._loading = asyncio.Lock()

    def load_all(self) -> None:
        """Load every model.

        Raises:
            RunError: a file is missing, truncated, altered, or of a newer format.
        """
        for name, path in self._settings.models.items():
            self._put(self._load(name, path))

    def get(self, name: str | None) -> Entry:
        """The model of that name; a single model needs none.

        Raises:
            ServiceError: 404, there is no such model; 422, several models and no name.
        """
        known = ", ".join(self.entries)
        if name is None:
            if len(self.entries) > 1:
                raise ServiceError(422, f"model: missing. Several models are served; choose from: {known}.")
            return next(iter(self.entries.values()))
        if name not in self.entries:
            raise ServiceError(404, f"Unknown model {name!r:.100}. {suggest(name, self.entries)}Choose from: {known}.")
        return self.entries[name]

    async def reload(self, name: str) -> Entry:
        """Load a model again, beside the one that answers meanwhile; an unchanged file is not loaded.

        Raises:
            ServiceError: 404, there is no such model.
            RunError: as `load_all`; the model that was there goes on.
        """
        before, path = self.get(name), self._settings.models[name]
        async with self._loading:  # one at a time
            if await asyncio.to_thread(version_of, path) == before.version:
                return self.entries[name]
            entry = await asyncio.to_thread(self._load, name, path)
            self._put(entry)
        return entry

    def _load(self, name: str, path: Path) -> Entry:
        version = version_of(path)  # before loading: if the file changes in between, the next reload sees it
        model = load_model(path)
        served = model.task.served(model)
        batcher = Batcher(served.answer, self._thread, self._settings.limits, self._measured.batches(name))
        examples, obstacle = served.examples(path), served.stream_obstacle()
        return Entry(name, version, served, served.facts, examples, batcher, obstacle)

    def _put(self, entry: Entry) -> None:
        self.entries[entry.name] = entry
        self._measured.loaded(entry.name, entry.version, entry.batcher)


def version_of(path: Path) -> str:
    """The version of a model file, or of that in a run folder.

    Raises:
        RunError: it cannot be read.
    """
    return file_digest(model_file(path))[:DIGITS]
