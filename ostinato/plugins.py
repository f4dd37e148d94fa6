"""Names that user code adds to the tables of cells, formats and tokenizers.

A name comes from a call such as `ostinato.nn.register_cell("mine", cell)`, or from an entry point of an installed
package. Entry points are looked up only for a name that is not built in, and loaded only when the entry is used.
"""

import inspect
import secrets
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TypeVar

from ostinato.errors import ConfigError, suggest

Entry = TypeVar("Entry")

CELLS, FORMATS, TOKENIZERS = "ostinato.cells", "ostinato.formats", "ostinato.tokenizers"  # entry point groups

_registered: dict[str, dict[str, object]] = {}


def register(group: str, name: str, entry: object, builtin: Mapping[str, object]) -> None:
    """Add an entry, or replace one that was added before, as when a notebook's cell runs again.

    Raises:
        ConfigError: the name is built in.
    """
    if name in builtin:
        kind = group.rpartition(".")[2].removesuffix("s")
        raise ConfigError(f"The {kind} {name!r} is built in and cannot be replaced. Choose another name.")
    _registered.setdefault(group, {})[name] = entry


def names(group: str) -> list[str]:
    """Every added name: registered by user code, or an entry point of an installed package."""
    return sorted({*_registered.get(group, {}), *(point.name for point in entry_points(group=group))})


def find(group: str, name: str, builtin: Mapping[str, Entry], kind: str) -> Entry:
    """The entry with that name, built in or added.

    Raises:
        ConfigError: there is none; suggests the nearest name and lists all.
    """
    if name in builtin:
        return builtin[name]
    if name not in _registered.get(group, {}):
        for point in entry_points(group=group, name=name):
            register(group, name, point.load(), builtin)
    if name in _registered.get(group, {}):
        return _registered[group][name]  # type: ignore[return-value]
    choices = sorted({*builtin, *names(group)})
    raise ConfigError(f"Unknown {kind} {name!r}. {suggest(name, choices)}Choose from: {', '.join(choices)}.")


def code_of(group: str, name: str) -> str:
    """A text that changes with the code of an added entry: its source, or another one each time; empty: built in."""
    entry = _registered.get(group, {}).get(name)
    if entry is None:
        return ""
    try:
        return inspect.getsource(entry if inspect.isclass(entry) or inspect.isfunction(entry) else type(entry))
    except (OSError, TypeError):  # typed into a console
        return secrets.token_hex(8)
