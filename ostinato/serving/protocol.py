"""/v2: the Open Inference Protocol, version 2, over REST.

Source: https://github.com/kserve/open-inference-protocol
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ostinato.serving.faults import ServiceError
from ostinato.serving.people import json_response
from ostinato.serving.repository import Entry
from ostinato.serving.requests import parsed
from ostinato.serving.service import Service
from ostinato.serving.tensors import InferBody, given, inputs_of, outputs_of
from ostinato.versions import __version__


class Protocol:
    """The endpoints of the protocol."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def server(self, request: Request) -> Response:
        """Name and version of the server."""
        return json_response({"name": "ostinato", "version": __version__, "extensions": ["model_repository"]})

    async def live(self, request: Request) -> Response:
        """Whether the process answers at all."""
        return json_response({"live": True})

    async def ready(self, request: Request) -> Response:
        """Whether all models answer; 503 while the service stops."""
        if not self.service.is_ready:
            raise ServiceError(503, "The service is stopping. Ask another one.")
        return json_response({"ready": True})

    async def model(self, request: Request) -> Response:
        """The inputs and outputs of a model."""
        entry = self._entry(request)
        outputs = [
            {"name": name, "datatype": output.datatype, "shape": list(output.shape)}
            for name, output in entry.served.outputs.items()
        ]
        return json_response(
            {
                "name": entry.name,
                "versions": [entry.version],
                "platform": "ostinato",
                "inputs": inputs_of(entry),
                "outputs": outputs,
            }
        )

    async def model_ready(self, request: Request) -> Response:
        """Whether a model answers."""
        entry = self._entry(request)
        return json_response({"name": entry.name, "ready": True})

    async def infer(self, request: Request) -> Response:
        """Answer sequences."""
        return json_response(await self.service.within_time(self._infer(request)))

    async def load(self, request: Request) -> Response:
        """Load a model again from its path; the one before answers until the new one is ready, and if it fails."""
        entry = await self.service.reload(request.path_params["model"])
        return json_response({"name": entry.name, "version": entry.version})

    async def _infer(self, request: Request) -> dict[str, Any]:
        entry = self._entry(request)
        asked = await parsed(request, InferBody, self.service.limits.max_body_bytes)
        truncate = asked.parameters.get("truncate", False)
        if not isinstance(truncate, bool):
            raise ServiceError(422, f"parameters.truncate: {truncate!r:.60}. Expected true or false.")
        rows = self.service.rows(entry, given(entry, asked.inputs), truncate=truncate)
        answered = await self.service.answers(entry, rows)
        outputs = outputs_of(entry, [each.answer for each in answered], asked.outputs)
        named = {"model_name": entry.name, "model_version": entry.version}
        return {**named, **({} if asked.id is None else {"id": asked.id}), "outputs": outputs}

    def _entry(self, request: Request) -> Entry:
        """The model and version in a path.

        Raises:
            ServiceError: 404, there is no such model or version.
        """
        entry = self.service.models.get(request.path_params["model"])
        version = request.path_params.get("version", entry.version)
        if version != entry.version:
            raise ServiceError(
                404, f"Model {entry.name} has no version {version!r:.60}. Version {entry.version} is served."
            )
        return entry
