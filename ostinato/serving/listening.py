"""The listening socket of a service."""

import socket

from ostinato.errors import OstinatoError

BACKLOG = 1024  # connections that wait to be accepted
UNREAD_MS = 60_000  # for which a client may leave its answer unread


class Listening(socket.socket):
    """A socket whose queue of connections stays long.

    asyncio's `backlog` is both the length of this queue and the number of connections that a process accepts at once:
    with one number, the first of several workers would take all connections of a burst.
    """

    def listen(self, backlog: int = BACKLOG, /) -> None:
        """Listen, whatever length of the queue is asked for."""
        super().listen(BACKLOG)


def listen(host: str, port: int) -> Listening:
    """A socket that listens at an address.

    Raises:
        OstinatoError: the address is taken, not of this machine, or not allowed.
    """
    try:
        bound = _bound(host, port)
    except OSError as error:
        raise OstinatoError(
            f"{host}:{port}: cannot listen ({error.strerror}). Choose another --host or --port."
        ) from None
    bound.listen()
    bound.setblocking(False)
    return bound


def _bound(host: str, port: int) -> Listening:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    bound = Listening(family, kind, protocol)  # without the protocol, asyncio leaves TCP's delay of small packets on
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; connections inherit it, and asyncio would wait for ever
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
    try:
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
