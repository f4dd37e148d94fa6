"""A client of /stream without a socket; shared by the tests in this folder."""

import asyncio
import json

from ostinato.serving import create_app


class Client:
    """A WebSocket to an application in this process.

    Attributes:
        headers: of the response to the handshake.
    """

    def __init__(self, app, query="", headers=(), path="/stream"):
        self.app = app
        self.scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
            "subprotocols": [],
            "server": ("test", 80),
            "client": ("test", 1),
        }
        self.sent, self.received = asyncio.Queue(), asyncio.Queue()

    async def __aenter__(self):
        self.received.put_nowait({"type": "websocket.connect"})
        self.running = asyncio.ensure_future(self.app(self.scope, self.received.get, self._put))
        start = await self._next()
        assert start["type"] == "websocket.accept"
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return self

    async def __aexit__(self, kind, error, trace):
        self.received.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait_for(asyncio.wait([self.running]), 10)

    async def _put(self, message):
        await self.sent.put(message)

    async def _next(self):
        return await asyncio.wait_for(self.sent.get(), 10)

    def send(self, message):
        """Send a message: text, bytes, or what JSON is made of."""
        kind = "bytes" if isinstance(message, bytes) else "text"
        message = message if isinstance(message, bytes | str) else json.dumps(message)
        self.received.put_nowait({"type": "websocket.receive", kind: message})

    async def reply(self):
        message = await self._next()
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def ask(self, message):
        """The reply to a message."""
        self.send(message)
        return await self.reply()

    async def end(self):
        """The error, None if there was none, and the code that closed the WebSocket."""
        message, error = await self._next(), None
        if message["type"] == "websocket.send":
            error = json.loads(message["text"])["error"]
            message = await self._next()
        assert message["type"] == "websocket.close"
        return error, message["code"]


def converse(service, talk, query="", headers=()):
    """The result of a coroutine function that talks to /stream of a service."""

    async def run():
        async with Client(create_app(service), query, headers) as client:
            return await talk(client)

    return asyncio.run(run())


def replies(service, messages, query="", headers=()):
    """The replies to messages, one after the other."""

    async def talk(client):
        return [await client.ask(message) for message in messages]

    return converse(service, talk, query, headers)


def ending(service, messages, query="", headers=()):
    """Error and code that end a conversation after these messages, whose replies are ignored."""

    async def talk(client):
        for message in messages[:-1]:
            await client.ask(message)
        for message in messages[-1:]:
            client.send(message)
        return await client.end()

    return converse(service, talk, query, headers)
