"""What the command line sets: the models, the address and the limits of a service."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ostinato.errors import ConfigError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SHORTEST_TOKEN = 16  # characters


@dataclass(frozen=True)
class Limits:
    """What one client may take from the others.

    Args:
        max_batch_size: sequences that are answered together.
        max_batch_wait_ms: how long a batch that is not full waits for more; while one batch is computed, the next one
            fills without a wait.
        max_queue: sequences that wait for a model; further ones are refused with 429.
        max_body_bytes: of a request.
        max_length: tokens or steps of a sequence, before the model's own cut.
        timeout_s: from the first byte of a request to its answer; for a stream, for each of its messages.
        max_streams: that are open at once in a process.
        stream_idle_s: after which a stream is closed if its client sends nothing.
    """

    max_batch_size: int = 64
    max_batch_wait_ms: float = 0.0
    max_queue: int = 1024
    max_body_bytes: int = 4 * 2**20
    max_length: int = 100_000
    timeout_s: float = 30.0
    max_streams: int = 256
    stream_idle_s: float = 300.0


@dataclass(frozen=True)
class Settings:
    """A service.

    Args:
        models: the run folder or model file of each name.
        token: what clients send as `Authorization: Bearer TOKEN`; None: everybody may ask.
        workers: processes.
    """

    models: dict[str, Path]
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    token: str | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def is_open(self) -> bool:
        """Whether other machines may ask without a token."""
        if self.token is not None or self.host == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name
            return True


def named_models(arguments: Sequence[str]) -> dict[str, Path]:
    """The path of each name, from arguments such as `runs/imdb` and `reviews=runs/imdb`.

    Raises:
        ConfigError: a name is not usable in a URL, or occurs twice; a file is of another kind.
    """
    models: dict[str, Path] = {}
    for argument in arguments:
        name, path = _split(argument)
        if not NAME.fullmatch(name):
            raise ConfigError(
                f"{argument}: the model's name {name!r} is not usable in a URL. Expected letters, digits, '.', '_' "
                f"and '-'. Name it: my-model={path}"
            )
        if path.suffix == ".onnx":
            raise ConfigError(
                f"{argument}: an ONNX file cannot be served. Serve the run that it was exported from, or answer with "
                f"ostinato predict {path}."
            )
        if name in models:
            raise ConfigError(
                f"{argument}: the model's name {name!r} is already that of {models[name]}. Name it: OTHER={path}"
            )
        models[name] = path
    return models


def _split(argument: str) -> tuple[str, Path]:
    name, is_named, path = argument.partition("=")
    if is_named and not Path(argument).exists():
        return name, Path(path)
    given = Path(argument)
    return (given.stem if given.is_file() else given.resolve().name), given


def read_token(path: Path) -> str:
    """The token in a file; white space around it is ignored.

    Raises:
        ConfigError: the file cannot be read, or the token is short or not printable ASCII.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {path}: cannot be read ({error}). Name a text file with a token.") from None
    if len(token) < SHORTEST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError(
            f"--token-file {path}: the token has {len(token)} characters. Expected at least {SHORTEST_TOKEN}, all "
            "printable ASCII without spaces. Make one with: openssl rand -hex 32"
        )
    return token
