"""What the requests of one process share: models, thread, limits and metrics."""

import asyncio
import hmac
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ostinato.errors import DataError, OstinatoError
from ostinato.serving.batching import InferenceThread
from ostinato.serving.conversation import Draining, Places
from ostinato.serving.faults import ServiceError, refuse_all
from ostinato.serving.metrics import Measured
from ostinato.serving.repository import Entry, Repository
from ostinato.serving.settings import Settings
from ostinato.tasks.records import Answered


class Given(NamedTuple):
    """One input of a request: its name in messages, and what reads it."""

    source: str
    read: Callable[[], Any]


class Service:
    """A process that answers.

    Args:
        settings: models, limits and token.
        is_worker: whether a parent process started it, which tells the other workers to reload.
    """

    def __init__(self, settings: Settings, *, is_worker: bool = False) -> None:
        self.settings, self.limits = settings, settings.limits
        self.measured = Measured()
        self.thread = InferenceThread()
        self.models = Repository(settings, self.thread, self.measured)
        self.draining = Draining()
        self.streams = Places(settings.limits.max_streams)
        self._is_worker = is_worker

    @property
    def is_ready(self) -> bool:
        """Whether all models are loaded, and new requests are welcome."""
        return len(self.models.entries) == len(self.settings.models) and not self.draining.is_on

    def admits(self, authorization: str | None) -> bool:
        """Whether a client with this header `Authorization` may use the models."""
        if self.settings.token is None:
            return True
        expected = f"Bearer {self.settings.token}".encode()
        return hmac.compare_digest((authorization or "").encode(), expected)  # in constant time

    def rows(self, entry: Entry, inputs: Sequence[Given], *, truncate: bool) -> list[Any]:
        """The rows of a request, with a `DataError` in place of one that cannot be read, as `answers` takes them.

        Args:
            truncate: cut rows that are longer than the limit, instead of refusing them.

        Raises:
            ServiceError: 422, there are more inputs than the queue takes; before they are read, which takes long.
        """
        entry.batcher.refuse_many(len(inputs))
        rows: list[Any] = []
        for source, read in inputs:
            try:
                rows.append(self._within_limit(entry, read(), source, truncate))
            except DataError as error:
                rows.append(error.at(source))
        return rows

    def _within_limit(self, entry: Entry, row: Any, source: str, truncate: bool) -> Any:
        most = self.limits.max_length
        found = entry.served.count_tokens(row, most)
        if found <= most:
            return row
        if truncate:
            return entry.served.cut(row, most)
        raise DataError(
            f"{source}: {found:,} tokens or steps, more than the {most:,} allowed (--max-length). Shorten it, or ask "
            "for a cut with truncate."
        )

    async def answers(self, entry: Entry, rows: Sequence[Any]) -> list[Answered]:
        """The answers to rows.

        Raises:
            ServiceError: 422, with the faults of all rows that cannot be answered; 429, the queue is full.
            OstinatoError: the model cannot answer.
        """
        answers = await entry.batcher.submit(rows)
        for answer in answers:
            if isinstance(answer, OstinatoError):
                raise answer
        refuse_all([answer.error for answer in answers if answer.error is not None])
        return answers

    async def reload(self, name: str) -> Entry:
        """Reload a model here, and then in the other workers.

        Raises:
            ServiceError: 404, there is no such model; 400, it cannot be loaded, and the one that was there goes on.
        """
        self.models.get(name)
        try:
            entry = await self.models.reload(name)
        except ServiceError:
            raise
        except OstinatoError as error:
            raise ServiceError(400, f"{error} The version that was loaded before goes on.") from None
        if self._is_worker:
            os.kill(os.getppid(), signal.SIGHUP)
        return entry

    async def within_time(self, work: Any) -> Any:
        """The result of a coroutine.

        Raises:
            ServiceError: 504, it took too long and was given up.
        """
        try:
            return await asyncio.wait_for(work, self.limits.timeout_s)
        except asyncio.TimeoutError:
            raise ServiceError(
                504, f"No answer within {self.limits.timeout_s:g} s (--timeout-s). Try again later."
            ) from None
