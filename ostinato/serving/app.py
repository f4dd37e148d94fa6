"""The service as one ASGI application."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ostinato.errors import OstinatoError
from ostinato.serving.faults import ServiceError, refusal_of
from ostinato.serving.gate import Gate, refused
from ostinato.serving.pages import documentation, page, page_file
from ostinato.serving.people import People
from ostinato.serving.protocol import Protocol
from ostinato.serving.requests import ExplainBody, PredictBody, TraceBody
from ostinato.serving.service import Service
from ostinato.serving.tensors import InferBody
from ostinato.versions import __version__


def create_app(service: Service) -> Any:
    """The ASGI application of a service whose models are loaded."""
    app = FastAPI(title="Ostinato", version=__version__, docs_url=None, redoc_url=None)
    for kind in (OstinatoError, HTTPException, Exception):
        app.add_exception_handler(kind, _failed)
    people = People(service)
    _get(app, "/", page)
    _get(app, "/page/{file}", page_file)
    _get(app, "/docs", documentation)
    _get(app, "/models", people.models)
    _get(app, "/metrics", Metrics(service).text)
    _post(app, "/predict", people.predict, PredictBody)
    _post(app, "/explain", people.explain, ExplainBody)
    _post(app, "/trace", people.trace, TraceBody)
    _add_protocol(app, Protocol(service))
    return Gate(app, service)


def _add_protocol(app: FastAPI, protocol: Protocol) -> None:
    _get(app, "/v2", protocol.server)
    _get(app, "/v2/health/live", protocol.live)
    _get(app, "/v2/health/ready", protocol.ready)
    for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        _get(app, model, protocol.model)
        _get(app, f"{model}/ready", protocol.model_ready)
        _post(app, f"{model}/infer", protocol.infer, InferBody)
    _post(app, "/v2/repository/models/{model}/load", protocol.load)


class Metrics:
    """The endpoint for Prometheus."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def text(self, request: Request) -> Response:
        """Requests, failures, latencies, batches, queues and versions of models, for Prometheus."""
        return Response(self.service.measured.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _get(app: FastAPI, path: str, endpoint: Any) -> None:
    app.add_api_route(path, endpoint, methods=["GET"], response_class=Response)


def _post(app: FastAPI, path: str, endpoint: Any, body: type[BaseModel] | None = None) -> None:
    """Add an endpoint that reads its own body: FastAPI would read any size, and report faults its own way."""
    described = {}
    if body is not None:
        schema = body.model_json_schema()
        described = {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
    app.add_api_route(path, endpoint, methods=["POST"], response_class=Response, openapi_extra=described)


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
