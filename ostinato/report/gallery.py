"""The pictures of a page, kept to be written as files of their own."""

import io
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ostinato.errors import ConfigError, RunError
from ostinato.report.svg import NO_METADATA, inline_svg
from ostinato.storage import write_atomically

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150


class Gallery:
    """Figures by name, in the order in which they were shown."""

    def __init__(self) -> None:
        self.figures: dict[str, Figure] = {}

    def show(self, figure: "Figure", title: str) -> "Markup":
        """The figure as SVG for a page, and kept; its name comes from the title."""
        base = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or "picture"
        name, number = base, 1
        while name in self.figures:
            number += 1
            name = f"{base}-{number}"
        self.figures[name] = figure
        drawn = inline_svg(figure, title)
        figure.set_layout_engine("none")  # its parts have their places: drawn to files, it need not seek them again
        return drawn

    def save(self, folder: Path) -> None:
        """Write each figure as PNG and SVG.

        Raises:
            RunError: a file cannot be written.
        """
        make_folder(folder)
        for name, figure in self.figures.items():
            for kind in ("png", "svg"):
                save_figure(figure, folder / f"{name}.{kind}")


def make_folder(folder: Path) -> None:
    """Make a folder where there is none.

    Raises:
        RunError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be made: {error.strerror}. Choose another place.") from None


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure on white ground, in the format that the file's ending names.

    Raises:
        ConfigError: matplotlib has no such format.
        RunError: the file cannot be written.
    """
    kind = path.suffix.removeprefix(".").lower()
    kinds = figure.canvas.get_supported_filetypes()
    if kind not in kinds:
        raise ConfigError(
            f"{path}: pictures of the kind {kind!r} cannot be written. Choose from: {', '.join(sorted(kinds))}."
        )
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing from font"
        )  # drawn as boxes: the text itself is in the page
        figure.savefig(
            drawn, format=kind, dpi=DOTS_PER_INCH, facecolor="white", metadata=NO_METADATA if kind == "svg" else None
        )
    write_atomically(path, drawn.getvalue())
