"""A report's page: building blocks of trusted markup made from text that is not, and the frame around them.

Whatever is given to a block as a `str` is escaped; only `Markup`, which blocks return, is taken as it is. `+` joins blocks.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from ostinato.errors import MissingExtraError

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


class Section(NamedTuple):
    """A part of the page; `id` is unique on it, and what links point to."""

    title: str
    id: str
    body: "Markup"


def render(title: str, sections: Sequence[Section]) -> str:
    """The whole page as HTML: one file that asks for nothing else and runs no script.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    return _templates().get_template("page.html.jinja").render(title=title, sections=sections)


def paragraph(text: "str | Markup") -> "Markup":
    """A paragraph of text."""
    return _block("paragraph", text)


def heading(text: str) -> "Markup":
    """A heading within a section."""
    return _block("heading", text)


def bullets(lines: Iterable["str | Markup"]) -> "Markup":
    """A list, a point a line."""
    return _block("bullets", list(lines))


def join(blocks: "Iterable[Markup]") -> "Markup":
    """Blocks one after the other."""
    from markupsafe import Markup

    return Markup("").join(blocks)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], numeric: Collection[int] = ()) -> "Markup":
    """A table that scrolls in its own box where it is too wide.

    Args:
        rows: as many cells each as there are headings.
        numeric: the columns of numbers, counted from 0: right-aligned.
    """
    return _block("table", headings, list(rows), numeric)


def figure(svg: "Markup", caption: str) -> "Markup":
    """One or several pictures that a `Gallery` shows, side by side where there is room, and what is seen in them."""
    return _block("figure", svg, caption)


def code(text: str) -> "Markup":
    """Lines of a file or of commands, as they are."""
    return _block("code", text)


def _block(name: str, *arguments: Any) -> "Markup":
    block: Markup = getattr(_templates().get_template("blocks.html.jinja").module, name)(*arguments)
    return block


@cache
def _templates() -> "Environment":
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise MissingExtraError("jinja2", "explain", "A report") from None
    loader = PackageLoader("ostinato.report")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
