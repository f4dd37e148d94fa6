"""Run a service: uvicorn with our signals. SIGTERM drains, SIGHUP reloads the models."""

import asyncio
import gc
import logging
import math
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from ostinato.errors import OstinatoError
from ostinato.serving.app import create_app
from ostinato.serving.bounded import BoundedHttp
from ostinato.serving.logs import log, start_logs
from ostinato.serving.service import Service
from ostinato.serving.settings import Settings
from ostinato.serving.workers import Parent

AT_ONCE = 1  # connections that a process accepts in one go, so that several workers share them
KEEP_ALIVE_S = 30
POLL_S = 0.05


class Server(uvicorn.Server):
    """uvicorn with the signals of a service; it exits with 0 after a drain."""

    def __init__(self, config: uvicorn.Config, service: Service, parent: Parent | None) -> None:
        super().__init__(config)
        self.service, self.parent = service, parent
        self._reloading: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals in the event loop, where uvicorn would raise them again after the drain."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.drain)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        if self.parent is not None:
            loop.add_reader(self.parent.alive, self._orphaned)
            self.reload()  # the parent may have asked for it while the models were loading
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        log("ready", models={name: entry.version for name, entry in self.service.models.entries.items()})
        if self.parent is not None and self.parent.ready is not None:
            os.write(self.parent.ready, b"1")
            os.close(self.parent.ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and let streams answer what they have read and close; uvicorn would cut them off."""
        for server in self.servers:
            server.close()
        deadline = time.monotonic() + self.service.limits.timeout_s
        while self.service.draining.open and not self.force_exit and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
        await super().shutdown(sockets)

    def drain(self) -> None:
        """Refuse new connections, answer accepted requests, then stop; the second time, stop at once."""
        self.force_exit = self.service.draining.is_on
        self.should_exit = True
        self.service.draining.start()
        log("draining")

    def _orphaned(self) -> None:
        """Stop, since nobody would pass a signal on."""
        assert self.parent is not None
        asyncio.get_running_loop().remove_reader(self.parent.alive)
        self.drain()

    def reload(self) -> None:
        """Load changed models again; a model that cannot be loaded stays as it was."""
        self._reloading = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        for name in self.service.settings.models:
            try:
                entry = await self.service.models.reload(name)
                log("model is up to date", model=name, version=entry.version)
            except OstinatoError as error:
                log("model not reloaded", level=logging.ERROR, model=name, error=str(error))


def serve(settings: Settings, bound: socket.socket, parent: Parent | None = None) -> None:
    """Load the models and answer until SIGTERM.

    Args:
        bound: a listening socket.
        parent: that of a worker, which shares the socket with others.

    Raises:
        OstinatoError: a model cannot be loaded.
    """
    service = Service(settings, is_worker=parent is not None)
    service.models.load_all()
    start_logs()
    gc.freeze()  # what is loaded stays: the collector need not look at it again
    config = uvicorn.Config(
        create_app(service),
        log_config=None,
        access_log=False,
        lifespan="off",
        http=BoundedHttp,
        ws="websockets-sansio",
        ws_max_size=settings.limits.max_body_bytes,
        ws_per_message_deflate=False,  # buffers of each stream, for messages of a few bytes
        server_header=False,
        backlog=AT_ONCE,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(settings.limits.timeout_s) + 1,
    )
    asyncio.run(_serve(Server(config, service, parent), bound))
    service.thread.close()
    log("stopped")


async def _serve(server: Server, bound: socket.socket) -> None:
    await server.serve(sockets=[bound])
