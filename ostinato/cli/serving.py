"""serve."""

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostinato.cli.streams import say
from ostinato.errors import MissingExtraError

if TYPE_CHECKING:
    import socket

    from ostinato.serving.settings import Settings
    from ostinato.serving.workers import Parent

NEEDED = ("fastapi", "uvicorn", "prometheus_client", "websockets")


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]RUN...", help="Finished run folders, model files, or hf://OWNER/NAME; with names."
        ),
    ],
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 for all networks.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that share the port.")] = 1,
    max_batch_size: Annotated[int, typer.Option(min=1, help="Sequences that are answered together.")] = 64,
    max_batch_wait_ms: Annotated[
        float, typer.Option(min=0, max=10_000, help="How long a batch that is not full waits for more.")
    ] = 0.0,
    max_queue: Annotated[int, typer.Option(min=1, help="Sequences that wait for a model; more get 429.")] = 1024,
    max_body_bytes: Annotated[int, typer.Option(min=1, help="Of a request; larger ones get 413.")] = 4 * 2**20,
    max_length: Annotated[
        int, typer.Option(min=1, help="Tokens or steps of a sequence; longer ones get 422.")
    ] = 100_000,
    timeout_s: Annotated[float, typer.Option(min=0.001, help="For a request; slower ones get 504.")] = 30.0,
    max_streams: Annotated[int, typer.Option(min=1, help="That are open at once in each process.")] = 256,
    stream_idle_s: Annotated[
        float, typer.Option(min=0.001, help="Streams are closed if their client sends nothing for so long.")
    ] = 300.0,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A text file with the token that clients must send.")
    ] = None,
) -> None:
    """Answer over HTTP: the Open Inference Protocol v2, and a page for people.

    SIGTERM answers what was accepted, then stops. SIGHUP loads changed models.
    """
    from ostinato.serving.listening import listen
    from ostinato.serving.settings import Limits, Settings, named_models, read_token
    from ostinato.serving.workers import Workers

    limits = Limits(
        max_batch_size,
        max_batch_wait_ms,
        max_queue,
        max_body_bytes,
        max_length,
        timeout_s,
        max_streams,
        stream_idle_s,
    )
    token = None if token_file is None else read_token(token_file)
    settings = Settings(named_models(models), host, port, workers, token, limits)
    for package in NEEDED:
        if find_spec(package) is None:
            raise MissingExtraError(package, "serve", "Answering over HTTP")
    bound = listen(host, port)
    if settings.is_open:
        say(
            f"Warning: anyone who can reach {host} may use the models. Add --token-file FILE, or --host 127.0.0.1.",
            err=True,
        )
    shown = f"[{host}]" if ":" in host else host
    say(f"Serving {', '.join(settings.models)} at http://{shown}:{bound.getsockname()[1]}")
    if workers == 1:
        _serve(settings, bound)
        return
    raise typer.Exit(Workers(workers, bound, partial(_serve, settings)).run())


def _serve(settings: "Settings", bound: "socket.socket", parent: "Parent | None" = None) -> None:
    """Answer in this process. PyTorch is imported here, and not in the process that starts workers."""
    from ostinato.serving.server import serve

    serve(settings, bound, parent)
