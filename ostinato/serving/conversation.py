"""One WebSocket: messages in and out, each within its time, and how it ends."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from ostinato.printable import to_json
from ostinato.serving.faults import ServiceError
from ostinato.serving.settings import Limits

NORMAL, INTERNAL = 1000, 1011  # codes that close a WebSocket
CODES = {  # for the status that HTTP would have; all others are violations of a policy
    400: 1003,
    413: 1009,
    429: 1013,
    500: INTERNAL,
    503: 1001,
    504: 1013,
}
POLICY = 1008


class Places:
    """A number of places, each taken by one connection at a time."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a place for as long as the context lasts.

        Raises:
            ServiceError: 429, all are taken.
        """
        if self.taken >= self.most:
            raise ServiceError(429, f"{self.taken} streams are open, the most allowed. Try again later.")
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


class Draining:
    """Tells all conversations at once that the service stops."""

    def __init__(self) -> None:
        self.is_on = False
        self.open = 0  # conversations that have not sent what closes them
        self._waiting: set[asyncio.Future[Any]] = set()

    @contextmanager
    def conversation(self) -> Iterator[None]:
        """Count a conversation as open for as long as the context lasts."""
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    def start(self) -> None:
        """End every conversation that waits for a message, and the others after their next answer."""
        self.is_on = True
        for future in self._waiting:
            future.cancel()

    async def first(self, future: "asyncio.Future[Any]", timeout_s: float) -> None:
        """Wait until a future is done, for a time, or until the service stops; then the future is cancelled."""
        self._waiting.add(future)
        try:
            if self.is_on:
                future.cancel()
            await asyncio.wait([future], timeout=timeout_s)
        finally:
            self._waiting.discard(future)
            future.cancel()


class Conversation:
    """An accepted WebSocket.

    Args:
        limits: how long to wait for the client.
        draining: that of the service.
    """

    def __init__(self, socket: WebSocket, limits: Limits, draining: Draining) -> None:
        self._socket, self._limits, self._draining = socket, limits, draining

    async def receive(self, timeout_s: float, on_timeout: str) -> str:
        """The next message.

        Args:
            on_timeout: what the error says if none comes in time.

        Raises:
            ServiceError: 408, none came in time; 503, the service stops; 400, it is not text.
            WebSocketDisconnect: the client has left.
        """
        received = asyncio.ensure_future(self._socket.receive())
        await self._draining.first(received, timeout_s)
        if received.cancelled() or not received.done():
            if self._draining.is_on:
                raise ServiceError(503, "The service is stopping. Open a stream at another one, or later.")
            raise ServiceError(408, on_timeout)
        message = received.result()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text: str | None = message.get("text")
        if text is None:
            raise ServiceError(400, "The message is binary. Send text: a JSON object.")
        return text

    async def send(self, content: dict[str, Any]) -> None:
        """Send a JSON object.

        Raises:
            WebSocketDisconnect: the client has left, or does not read.
        """
        await self._within_time(self._socket.send_text(to_json(content)))

    async def close(self, code: int) -> None:
        """Close the WebSocket.

        Raises:
            WebSocketDisconnect: the client has left, or does not read.
        """
        await self._within_time(self._socket.close(code))

    async def _within_time(self, sending: Any) -> None:
        try:
            await asyncio.wait_for(sending, self._limits.timeout_s)
        except asyncio.TimeoutError:
            raise WebSocketDisconnect(1006) from None
