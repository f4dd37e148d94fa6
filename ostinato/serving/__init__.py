"""Answer over HTTP: the Open Inference Protocol for programs, and /predict, /explain and /trace for people.

settings       what the command line sets: models, address, limits
faults         errors with an HTTP status; every error is {"error": "…"}
batching       requests that arrive together are answered together, by a single thread
repository     the models that are served; each can be replaced while requests run
service        the parts that requests share
requests       the bodies of requests, checked; all faults at once
people         /models, /predict, /explain, /trace
protocol       /v2: the Open Inference Protocol
tensors        inputs of the protocol to rows, and answers to its outputs
conversation   one WebSocket: its messages within their time, and how it ends
streams        /stream: one sequence in pieces, and the answer after each
pages          the web page, and the documentation of the interface without the internet
metrics        /metrics for Prometheus
logs           JSON lines; the texts of requests are not among them
gate           what every request passes: its id, the token, logs and metrics
app            all of these as one ASGI application
bounded        refuses requests with endless headers
server         uvicorn, with signals: drain and reload
workers        several processes that share the socket
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato.serving.app import create_app
    from ostinato.serving.server import serve
    from ostinato.serving.settings import Limits, Settings

_HOME = {"Limits": "settings", "Settings": "settings", "create_app": "app", "serve": "server"}

__all__ = ["Limits", "Settings", "create_app", "serve"]


def __getattr__(name: str) -> Any:
    if name in _HOME:  # the process that starts workers must not bring torch along
        return getattr(import_module(f"ostinato.serving.{_HOME[name]}"), name)
    raise AttributeError(f"module 'ostinato.serving' has no attribute {name!r}")
