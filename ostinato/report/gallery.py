"""The plots of a page, which are also saved as files."""

import io
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ostinato.errors import ConfigError
from ostinato.report.svg import NO_METADATA, inline_svg
from ostinato.storage import make_folder, write_atomically

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150


class Gallery:
    """Figures by name, in the order of the page."""

    def __init__(self) -> None:
        self.figures: dict[str, Figure] = {}

    def show(self, figure: "Figure", title: str) -> "Markup":
        """Draw the figure as SVG for a page, and remember it for `save`; its name comes from the title."""
        base = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60] or "picture"
        name, number = base, 1
        while name in self.figures:
            number += 1
            name = f"{base}-{number}"
        self.figures[name] = figure
        drawn = inline_svg(figure, title)
        figure.set_layout_engine("none")  # the parts are laid out: `save` need not do it again
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


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure on a white background, in the format of the file's ending.

    Raises:
        ConfigError: matplotlib does not support the format.
        RunError: the file cannot be written.
    """
    kind = path.suffix.removeprefix(".").lower()
    kinds = figure.canvas.get_supported_filetypes()
    if kind not in kinds:
        raise ConfigError(f"{path}: unknown image format {kind!r}. Choose from: {', '.join(sorted(kinds))}.")
    import matplotlib

    drawn = io.BytesIO()
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": path.name}):  # same figure, same bytes
        # They are drawn as boxes; the page has the text.
        warnings.filterwarnings("ignore", "Glyph .* missing from (current )?font")
        metadata = NO_METADATA if kind == "svg" else None
        figure.savefig(drawn, format=kind, dpi=DOTS_PER_INCH, facecolor="white", metadata=metadata)
    write_atomically(path, drawn.getvalue())
