"""Call a service in this process, without a socket; shared by the tests in this folder."""

import asyncio
import json
from typing import NamedTuple

from ostinato.serving import Limits, Settings, create_app
from ostinato.serving.service import Service


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        assert list(self.json) == ["error"]
        return self.json["error"]


def service_of(files, token=None, **limits):
    """A service with its models loaded."""
    service = Service(Settings(files, token=token, limits=Limits(**limits)))
    service.models.load_all()
    return service


async def call(app, method, path, body=b"", headers=()):
    """The reply of an ASGI application; `body` is bytes, a list of chunks or messages, or what JSON is made of."""
    if not isinstance(body, bytes | list):
        body = json.dumps(body).encode()
    chunks = [body] if isinstance(body, bytes) else list(body)
    sent = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        "server": ("test", 80),
        "client": ("test", 1),
    }

    async def receive():
        if not chunks:
            await asyncio.Event().wait()  # as a client that stays connected
        chunk = chunks.pop(0)
        if isinstance(chunk, dict):
            return chunk
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    start, *bodies = sent
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    return Reply(start["status"], found, b"".join(each.get("body", b"") for each in bodies))


def ask(service, path, body=None, method=None, headers=()):
    """One reply; a request with a body is a POST."""
    method = method or ("GET" if body is None else "POST")
    return asyncio.run(call(create_app(service), method, path, b"" if body is None else body, headers))


def ask_together(service, requests):
    """The replies to requests (path, body) that are made at once."""

    async def all_of_them():
        app = create_app(service)
        return await asyncio.gather(*(call(app, "POST", path, body) for path, body in requests))

    return asyncio.run(all_of_them())
