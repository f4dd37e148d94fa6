"""The folder of one content: made once, by one process, completely or not at all."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ostinato.errors import RunError
from ostinato.storage import LOCK, read_json, write_atomically
from ostinato.storage.lock import locked
from ostinato.versions import __version__

FORMAT = 1  # of the files in these folders
FACTS = "facts.json"  # written last
LONGEST_WAIT_S = 24 * 3600.0  # for another process that is making the same content


def cache_folder() -> Path:
    """`$OSTINATO_CACHE`, else `ostinato` in the user's folder for caches."""
    given = os.environ.get("OSTINATO_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ostinato"


def name_of(facts: Any) -> str:
    """A name that is equal for equal facts in this version of Ostinato; they must be JSON values."""
    text = json.dumps([FORMAT, __version__, facts], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def kept(place: Path, make: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """The facts of a folder's content; the content is made first unless it is there.

    Args:
        make: writes the content into the folder, and returns its facts as JSON values.

    Raises:
        RunError: the folder cannot be written, as when the disk is full. What was written of the content is removed.
    """
    found = _found(place)
    if found is not None:
        return found
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(place, error) from None
    with locked(place, wait_s=LONGEST_WAIT_S):
        found = _found(place)
        if found is not None:  # another process has made it meanwhile
            return found
        _clear(place)
        try:
            facts = make(place)
            content = {"facts": facts, "bytes": _sizes(place)}
            write_atomically(place / FACTS, json.dumps(content, ensure_ascii=True))
        except OSError as error:
            raise _unwritable(place, error) from None
        finally:
            if not (place / FACTS).exists():
                _clear(place)
        return facts


def _found(place: Path) -> dict[str, Any] | None:
    """The facts of a folder's content; None if it is not there, or was cut off."""
    if not (place / FACTS).exists():
        return None
    content = read_json(place / FACTS)
    facts: dict[str, Any] = content["facts"]
    return facts if _sizes(place) == content["bytes"] else None


def _sizes(place: Path) -> dict[str, int]:
    """The bytes of each file of the content, by name."""
    files = (path for path in place.iterdir() if path.is_file() and path.name not in (FACTS, LOCK))
    return {path.name: path.stat().st_size for path in files}


def _clear(place: Path) -> None:
    for path in place.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _unwritable(place: Path, error: OSError) -> RunError:
    return RunError(
        f"{place}: the data cannot be kept there: {error.strerror or error}. Free disk space, or choose another "
        "folder: --cache DIR, or the environment variable OSTINATO_CACHE."
    )
