"""Entry points: what other installed packages add to Ostinato."""

from importlib.metadata import entry_points
from typing import Any


def load_plugins(group: str, name: str | None = None) -> dict[str, Any]:
    """Load the objects that installed packages offer in an entry point group, by entry point name.

    Args:
        name: load this entry point only; None: all of the group.

    Raises:
        Exception: whatever the import of a plugin raises.
    """
    points = entry_points(group=group) if name is None else entry_points(group=group, name=name)
    return {point.name: point.load() for point in points}
