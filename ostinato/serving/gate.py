"""What every request passes: its id, the token, logs and metrics."""

import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders

from ostinato.printable import shortened
from ostinato.serving.faults import ServiceError
from ostinato.serving.logs import log
from ostinato.serving.people import json_response
from ostinato.serving.service import Service

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")  # of a client that names its requests
LONGEST_PATH = 1000  # characters, in the log
LOST = 1006  # how a WebSocket ends whose connection is lost
OPEN = re.compile(r"/v2/health/(live|ready)|/|/page/[^/]*")  # needs no token: health, and the page, which asks for one


class Gate:
    """An ASGI application around another one.

    Args:
        app: answers the requests that pass.
        service: has the token and the metrics.
        routes: the path of each endpoint, without the names that a client may make up; by which metrics count.
    """

    def __init__(self, app: Any, service: Service, routes: Mapping[Any, str]) -> None:
        self.app, self.service, self.routes = app, service, routes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        if scope["type"] == "websocket":
            await self._stream(scope, receive, send, request_id)
        else:
            await self._request(scope, receive, send, request_id, headers)

    async def _request(self, scope: Any, receive: Any, send: Any, request_id: str, headers: Headers) -> None:
        start, status = time.perf_counter(), 500

        async def send_with_id(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        try:
            refusal = self._refusal(scope["path"], headers)
            app = self.app if refusal is None else refused(refusal)
            await app(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - start
            self.service.measured.request(self.routes.get(scope.get("endpoint"), "other"), status, seconds)
            log(
                "request",
                id=request_id,
                method=scope["method"],
                path=shortened(scope["path"], LONGEST_PATH),
                status=status,
                milliseconds=round(seconds * 1000, 3),
            )

    async def _stream(self, scope: Any, receive: Any, send: Any, request_id: str) -> None:
        """A WebSocket; it asks for the token itself, since it may be in the first message."""
        start, code, is_accepted = time.perf_counter(), LOST, False

        async def receive_code() -> Any:
            nonlocal code
            message = await receive()
            if message["type"] == "websocket.disconnect":
                code = message.get("code", LOST)
            return message

        async def send_with_id(message: Any) -> None:
            nonlocal code, is_accepted
            if message["type"] == "websocket.accept":
                is_accepted = True
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            elif message["type"] == "websocket.close" and is_accepted:
                code = message["code"]
            await send(message)

        try:
            await self.app(scope, receive_code, send_with_id)
        finally:
            self.service.measured.stream_ended(code)
            milliseconds = round((time.perf_counter() - start) * 1000, 3)
            path = shortened(scope["path"], LONGEST_PATH)
            log("stream", id=request_id, path=path, code=code, milliseconds=milliseconds)

    def _refusal(self, path: str, headers: Headers) -> ServiceError | None:
        """Why a request does not pass; None if it does."""
        if OPEN.fullmatch(path) or self.service.admits(headers.get("authorization")):
            return None
        return ServiceError(
            401,
            "The token is missing or wrong. Send the header Authorization: Bearer TOKEN.",
            {"WWW-Authenticate": "Bearer"},
        )


def refused(refusal: ServiceError) -> Any:
    """The response to a request that is not answered; an ASGI application."""
    return json_response({"error": str(refusal)}, refusal.status, refusal.headers)
