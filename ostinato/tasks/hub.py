"""Models on the Hugging Face hub: their addresses, and fetching their files.

    hf://owner/name             the newest version
    hf://owner/name@revision    a branch, a tag or a commit

The package huggingface_hub (extra `hub`) sends the requests, and keeps what it fetched in its cache: an unchanged file
is not fetched again, and the copy in the cache is used where the hub cannot be reached. Only the model file is fetched.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ostinato.errors import ConfigError, MissingExtraError, RunError
from ostinato.versions import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SCHEME = "hf:"
MODEL = "model.safetensors"
ADDRESS = re.compile(r"hf://?(?P<repository>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\S+))?", re.ASCII)
REASONS = {  # the first class of `huggingface_hub.errors` that an error has decides
    "GatedRepoError": "its owner decides who may read it. Ask for access on the repository's page.",
    "RepositoryNotFoundError": "there is no such repository, or it is private and your token may not read it. Check "
    "the name, or log in with: hf auth login",
    "RevisionNotFoundError": "the repository has no such branch, tag or commit. Check what follows the @.",
    "LocalEntryNotFoundError": "the hub cannot be reached, and no copy of the model is in the cache. Check the "
    "network, and the variables HF_HUB_OFFLINE and HF_ENDPOINT.",
    "EntryNotFoundError": f"the repository has no {MODEL}, so it holds no model of Ostinato. Check the name.",
}
UNREACHABLE = "the hub cannot be reached. Check the network, and the variables HF_HUB_OFFLINE and HF_ENDPOINT."
HTTP_LIBRARIES = ("requests", "httpx", "httpx2")  # whose errors say that there was no answer
FORBIDDEN = "your token may not do this. Log in with one that may write to the repository: hf auth login"


class HubAddress(NamedTuple):
    """A repository on the hub, and a branch, a tag or a commit of it; None: its main branch."""

    repository: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str | PurePath) -> "HubAddress":
        """Read `hf://owner/name` or `hf://owner/name@revision`; a path has lost one of the slashes.

        Raises:
            ConfigError: it is not such an address.
        """
        match = ADDRESS.fullmatch(text.as_posix() if isinstance(text, PurePath) else text)
        if match is None:
            raise ConfigError(
                f"{text}: not an address on the hub. Expected hf://OWNER/NAME or hf://OWNER/NAME@REVISION."
            )
        return cls(match["repository"], match["revision"])

    def __str__(self) -> str:
        return f"hf://{self.repository}{f'@{self.revision}' if self.revision else ''}"


def is_on_hub(path: Path) -> bool:
    """Whether a path is an address on the hub."""
    return path.parts[:1] == (SCHEME,)


def fetch_model(address: HubAddress) -> Path:
    """The model file of a repository, in the cache of the hub's library.

    Raises:
        RunError: the repository or its model is missing, may not be read, or cannot be fetched.
        MissingExtraError: huggingface_hub is not installed.
    """
    with hub(address) as api:
        return Path(api.hf_hub_download(address.repository, MODEL, revision=address.revision))


@contextmanager
def hub(address: HubAddress) -> "Iterator[HfApi]":
    """The hub's API; its errors, and those of the network, become errors of Ostinato that name the address.

    Raises:
        RunError: a request failed.
        MissingExtraError: huggingface_hub is not installed.
    """
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError:
        raise MissingExtraError("huggingface-hub", "hub", str(address)) from None
    # HTTPError of requests, httpx or httpx2: it depends on the version
    http_error = cast("type[Exception]", errors.HfHubHTTPError.__bases__[0])
    try:
        yield huggingface_hub.HfApi(library_name="ostinato", library_version=__version__)
    except (http_error, errors.EntryNotFoundError, OSError, RuntimeError, ValueError) as error:
        raise RunError(f"{address}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """What went wrong and what to do, in sentences."""
    from huggingface_hub import errors

    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # of an upload that failed in a thread
    for name, reason in REASONS.items():
        if isinstance(error, getattr(errors, name)):
            return reason
    status: Any = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return FORBIDDEN
    if isinstance(error, ConnectionError) or type(error).__module__.partition(".")[0] in HTTP_LIBRARIES:
        return UNREACHABLE
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return f"{first_line.rstrip('.')}. Try again."
