"""A client that loads a service over a bounded number of connections, each with one request at a time."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np


class Load(NamedTuple):
    """What a load found.

    Args:
        seconds: from the first request to the last answer.
        milliseconds: of each answer.
        statuses: how many answers had each.
        lost: requests whose connection broke before an answer.
    """

    seconds: float
    milliseconds: np.ndarray
    statuses: "Counter[int]"
    lost: int

    @property
    def per_second(self) -> float:
        return len(self.milliseconds) / self.seconds

    @property
    def p50_ms(self) -> float:
        return float(np.percentile(self.milliseconds, 50))

    @property
    def p99_ms(self) -> float:
        return float(np.percentile(self.milliseconds, 99))


class Reply(NamedTuple):
    status: int
    body: bytes


async def load(port: int, bodies: Iterable[bytes], connections: int, *, seconds: float | None = None) -> Load:
    """Send the bodies to /predict, over this many connections; stop after `seconds`."""
    milliseconds: list[float] = []
    statuses: Counter[int] = Counter()
    lost = 0
    shared = iter(bodies)
    start = time.perf_counter()

    async def connection() -> None:
        nonlocal lost
        while True:
            try:
                await _exchange(port, _until(shared, None if seconds is None else start + seconds), note)
            except (OSError, asyncio.IncompleteReadError):  # the service closed it
                lost += 1
                await asyncio.sleep(0.01)
            else:
                return

    def note(status: int, duration_s: float) -> None:
        statuses[status] += 1
        milliseconds.append(duration_s * 1000)

    await asyncio.gather(*(connection() for _ in range(connections)))
    return Load(time.perf_counter() - start, np.array(milliseconds), statuses, lost)


async def post(port: int, body: bytes) -> Reply:
    """The answer to one request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(_request(body))
        return await _reply(reader)
    finally:
        writer.close()


async def _exchange(port: int, bodies: Iterator[bytes], note) -> None:  # type: ignore[no-untyped-def]
    """Send bodies one after the other over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for body in bodies:
            start = time.perf_counter()
            writer.write(_request(body))
            reply = await _reply(reader)
            note(reply.status, time.perf_counter() - start)
    finally:
        writer.close()


def _until(bodies: Iterator[bytes], end: float | None) -> Iterator[bytes]:
    for body in bodies:
        yield body
        if end is not None and time.perf_counter() > end:
            return


def _request(body: bytes) -> bytes:
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


async def _reply(reader: asyncio.StreamReader) -> Reply:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    return Reply(int(head.split(b" ", 2)[1]), await reader.readexactly(int(fields[b"content-length"])))
