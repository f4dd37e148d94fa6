"""Raw requests over a socket that never end, or that hide their size."""

import asyncio
import json
import socket

import pytest
import uvicorn
from calls import service_of
from processes import serving
from uvicorn.server import ServerState

from ostinato.serving import create_app
from ostinato.serving.bounded import MOST_BYTES, BoundedHttp
from ostinato.serving.listening import UNREAD_MS, listen

CHUNKED = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def running(files, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("raw"), files["dna"], "--max-body-bytes", "1000") as running:
        yield running


def reply(running, *parts):
    """All that the service answers until it closes the connection, or until the answer is complete."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as client:
        try:
            for part in parts:
                client.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
        received = b""
        try:
            while not received.rstrip().endswith(b"}") and (more := client.recv(65536)):
                received += more
        except ConnectionResetError:
            pass
    return received


@pytest.mark.parametrize(
    "parts",
    [
        [b"GET /v2 HTTP/1.1\r\nX: " + b"a" * 10_000] + [b"a" * 100_000] * 20,
        [b"GET /v2 HTTP/1.1\r\n"] + [b"X: a\r\n" * 10_000] * 20,
        [b"GET /" + b"a" * 10_000] + [b"a" * 100_000] * 20,
        [CHUNKED, b"2\r\n{}\r\n0\r\n"] + [b"X: a\r\n" * 10_000] * 20,
        [CHUNKED, b"2;" + b"a" * 100_000] + [b"a" * 100_000] * 20,
    ],
    ids=["value", "lines", "path", "trailers", "extension"],
)
def test_endless_headers_close_the_connection(running, parts):
    assert sum(map(len, parts)) > 3 * MOST_BYTES
    received = reply(running, *parts)
    assert not received or received.startswith((b"HTTP/1.1 400", b"HTTP/1.1 422"))
    assert running.ask("GET", "/v2")[0] == 200


def test_long_headers_and_bodies_within_the_limit_are_read(running):
    body = json.dumps({"input": "ACGT"}).encode()
    headers = b"POST /predict HTTP/1.1\r\nX: %s\r\nContent-Length: %d\r\n\r\n" % (b"a" * 60_000, len(body))
    assert reply(running, headers, body).startswith(b"HTTP/1.1 200")
    chunks = [b"1\r\n%c\r\n" % byte for byte in body]
    assert reply(running, CHUNKED, *chunks, b"0\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_a_chunked_body_above_the_limit_is_413(running):
    chunks = [b"64\r\n" + b" " * 100 + b"\r\n"] * 11
    assert reply(running, CHUNKED, *chunks, b"0\r\n\r\n").startswith(b"HTTP/1.1 413")


def test_a_post_without_a_length_has_an_empty_body(running):
    assert reply(running, b"POST /predict HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 400")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux only")
def test_accepted_connections_die_if_their_answer_stays_unread():
    with listen("127.0.0.1", 0) as bound, socket.create_connection(bound.getsockname()):
        bound.setblocking(True)
        accepted, _ = bound.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNREAD_MS


@pytest.mark.parametrize(
    "sent", [b"", b"GET /v2 HTTP/1.1\r\nX: ", b"GET /v2 HTTP/1.1\r\n\r\nGET /v2"], ids=["none", "half", "second"]
)
def test_a_client_whose_headers_do_not_end_is_cut_off(files, monkeypatch, sent):
    monkeypatch.setattr("ostinato.serving.bounded.HEADERS_S", 0.2)
    config = uvicorn.Config(create_app(service_of({"dna": files["dna"]})), log_config=None, ws="none")
    config.load()

    async def received():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: BoundedHttp(config, ServerState(), {}), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(sent)
        found = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        server.close()
        return found

    answers = asyncio.run(received()).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200"] * sent.count(b"\r\n\r\n") + [b"400"]
