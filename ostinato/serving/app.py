"""The service as one ASGI application.

Starlette serves the endpoints, and FastAPI describes them: its layers in between would take as long as all else around
a small model, and they read bodies of any size.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from ostinato.errors import OstinatoError
from ostinato.serving.faults import ServiceError, refusal_of
from ostinato.serving.gate import Gate, refused
from ostinato.serving.pages import Documentation, page, page_file
from ostinato.serving.people import People
from ostinato.serving.protocol import Protocol
from ostinato.serving.requests import ExplainBody, PredictBody, TraceBody
from ostinato.serving.service import Service
from ostinato.serving.streams import ROUTE, Streams
from ostinato.serving.tensors import InferBody
from ostinato.versions import __version__


class Endpoint(NamedTuple):
    """What answers a path: its docstring is in the documentation, and `body` describes what it reads."""

    method: str
    path: str
    answer: Callable[[Request], Awaitable[Response]]
    body: type[BaseModel] | None = None


def create_app(service: Service) -> Any:
    """The ASGI application of a service whose models are loaded."""
    streams = Streams(service)
    found = endpoints(service, streams)
    app = Starlette(
        routes=[
            WebSocketRoute(ROUTE, streams.converse),
            *(Route(each.path, each.answer, methods=[each.method]) for each in found),
        ],
        exception_handlers=dict.fromkeys((OstinatoError, HTTPException, Exception), _failed),
    )
    app.router.redirect_slashes = False
    return Gate(app, service, {each.answer: each.path for each in reversed(found)})


def endpoints(service: Service, streams: Streams) -> list[Endpoint]:
    """Every endpoint of a service, in the order in which they are documented."""
    documentation = Documentation(lambda: description(found))
    found = [
        *_for_people(People(service)),
        Endpoint("GET", ROUTE, streams.upgrade),
        *_of_protocol(Protocol(service)),
        Endpoint("GET", "/metrics", Metrics(service).text),
        Endpoint("GET", "/docs", documentation.html),
        Endpoint("GET", "/openapi.json", documentation.json),
        Endpoint("GET", "/", page),
        Endpoint("GET", "/page/{file}", page_file),
    ]
    return found


def _for_people(people: People) -> list[Endpoint]:
    return [
        Endpoint("POST", "/predict", people.predict, PredictBody),
        Endpoint("POST", "/explain", people.explain, ExplainBody),
        Endpoint("POST", "/trace", people.trace, TraceBody),
        Endpoint("GET", "/models", people.models),
    ]


def _of_protocol(protocol: Protocol) -> list[Endpoint]:
    found = [
        Endpoint("GET", "/v2", protocol.server),
        Endpoint("GET", "/v2/health/live", protocol.live),
        Endpoint("GET", "/v2/health/ready", protocol.ready),
        Endpoint("POST", "/v2/repository/models/{model}/load", protocol.load),
    ]
    for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        found += [
            Endpoint("POST", f"{model}/infer", protocol.infer, InferBody),
            Endpoint("GET", f"{model}/ready", protocol.model_ready),
            Endpoint("GET", model, protocol.model),
        ]
    return found


class Metrics:
    """The endpoint for Prometheus."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def text(self, request: Request) -> Response:
        """Requests, failures, latencies, batches, queues and versions of models, for Prometheus."""
        return Response(self.service.measured.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def description(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The endpoints as OpenAPI."""
    from fastapi import FastAPI

    app = FastAPI(title="Ostinato", version=__version__)
    for each in endpoints:
        extra = {}
        if each.body is not None:
            content = {"application/json": {"schema": each.body.model_json_schema()}}
            extra = {"requestBody": {"required": True, "content": content}}
        app.add_api_route(each.path, each.answer, methods=[each.method], response_class=Response, openapi_extra=extra)
    return app.openapi()


async def _failed(request: Request, error: Exception) -> Response:
    """The response to an error; its cause is in the log if it is ours."""
    if isinstance(error, HTTPException):
        refusal = ServiceError(error.status_code, f"{error.detail}: {request.method} {request.url.path}", error.headers)
    elif isinstance(error, OstinatoError):
        refusal = refusal_of(error)
    else:
        refusal = ServiceError(
            500, "Internal error. The log of the service has its kind, under the id of this request."
        )
    response: Response = refused(refusal)
    return response
