"""Run a service: uvicorn with our signals. SIGTERM drains, SIGHUP reloads the models."""

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from ostinato.errors import OstinatoError
from ostinato.serving.app import create_app
from ostinato.serving.logs import log, start_logs
from ostinato.serving.service import Service
from ostinato.serving.settings import Settings

BACKLOG = 1024  # connections that wait to be accepted
KEEP_ALIVE_S = 30


class Server(uvicorn.Server):
    """uvicorn with the signals of a service; it exits with 0 after a drain."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service
        self._reloading: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals in the event loop, where uvicorn would raise them again after the drain."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.drain)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        yield

    def drain(self) -> None:
        """Refuse new connections, answer accepted requests, then stop; the second time, stop at once."""
        self.force_exit = self.service.is_draining
        self.service.is_draining = self.should_exit = True
        log("draining")

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


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at an address.

    Raises:
        OstinatoError: the address is taken, not of this machine, or not allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        raise OstinatoError(
            f"{host}:{port}: cannot listen ({error.strerror}). Choose another --host or --port."
        ) from None
    bound.setblocking(False)
    return bound


def serve(settings: Settings, bound: socket.socket, *, is_worker: bool = False) -> None:
    """Load the models and answer until SIGTERM.

    Args:
        bound: a listening socket.
        is_worker: whether other processes answer on the same socket.

    Raises:
        OstinatoError: a model cannot be loaded.
    """
    service = Service(settings, is_worker=is_worker)
    service.models.load_all()
    start_logs()
    config = uvicorn.Config(
        create_app(service),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        ws="none",
    )
    log("ready", models={name: entry.version for name, entry in service.models.entries.items()})
    asyncio.run(_serve(Server(config, service), bound))
    service.thread.close()
    log("stopped")


async def _serve(server: Any, bound: socket.socket) -> None:
    await server.serve(sockets=[bound])
