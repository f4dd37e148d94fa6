"""Matplotlib figures outside pyplot's global state."""

from typing import TYPE_CHECKING

from ostinato.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure; width and height in inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "explain", "A plot") from None
    return Figure(figsize=(width, height), layout="constrained")
