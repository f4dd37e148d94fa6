"""The web page, and the documentation of the interface; neither needs the internet."""

import json
import mimetypes
from collections.abc import Callable
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from ostinato.serving.faults import ServiceError

FOLDER = Path(__file__).parent / "page"
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".woff2": "font/woff2"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; connect-src 'self'; img-src 'self'; script-src 'self'; style-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
METHODS = ("get", "post")


async def page(request: Request) -> Response:
    """The web page."""
    return _file("index.html")


async def page_file(request: Request) -> Response:
    """A file of the web page."""
    return _file(request.path_params["file"])


def _file(name: str) -> Response:
    path = next((path for path in FOLDER.iterdir() if path.name == name and path.is_file()), None)
    if path is None or name.startswith("."):
        raise ServiceError(404, f"The page has no file {name!r:.100}.")
    kind = TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(path.read_bytes(), headers=HEADERS, media_type=kind)


class Documentation:
    """The interface, described.

    Args:
        description: makes an OpenAPI description.
    """

    def __init__(self, description: Callable[[], dict[str, Any]]) -> None:
        self.description = cache(description)

    async def html(self, request: Request) -> Response:
        """Describe the interface for people."""
        return HTMLResponse(documentation_html(self.description()), headers=HEADERS)

    async def json(self, request: Request) -> Response:
        """Describe the interface for programs, as OpenAPI."""
        return JSONResponse(self.description())


def documentation_html(description: dict[str, Any]) -> str:
    """An OpenAPI description as a page without scripts."""
    title = escape(description["info"]["title"])
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        "<meta name=viewport content='width=device-width'><link rel=stylesheet href='page/documentation.css'>"
        f"<h1>{title}</h1>"
        "<p>For programs: <a href='openapi.json'>openapi.json</a>.</p>"
    ]
    for path, operations in description["paths"].items():
        parts += [
            _operation(method.upper(), path, operations[method], description)
            for method in METHODS
            if method in operations
        ]
    return "".join(parts)


def _operation(method: str, path: str, operation: dict[str, Any], description: dict[str, Any]) -> str:
    body = operation.get("requestBody")
    shown = "" if body is None else f"<pre>{escape(json.dumps(_schema(body, description), indent=2))}</pre>"
    return f"<h2><code>{method} {escape(path)}</code></h2><p>{escape(operation.get('description', ''))}</p>{shown}"


def _schema(body: dict[str, Any], description: dict[str, Any]) -> Any:
    schema = body["content"]["application/json"]["schema"]
    return {name: schema[name] for name in ("properties", "required", "$defs") if name in schema}
