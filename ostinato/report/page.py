"""A report's page: building blocks that turn untrusted text into safe markup, and the frame around them.

Blocks escape every `str`, including its control characters, and insert `Markup`, which blocks return, unchanged. `+`
joins blocks.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from ostinato.errors import MissingExtraError
from ostinato.printable import visible_lines

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


class Section(NamedTuple):
    """A part of the page; `id`, which links point to, is unique."""

    title: str
    id: str
    body: "Markup"


def render(title: str, sections: Sequence[Section]) -> str:
    """The whole page as HTML: one file that loads nothing else and runs no script.

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
    """A bulleted list."""
    return _block("bullets", list(lines))


def join(blocks: "Iterable[Markup]") -> "Markup":
    """Blocks in a row."""
    from markupsafe import Markup

    return Markup("").join(blocks)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], numeric: Collection[int] = ()) -> "Markup":
    """A table that scrolls in its own box where it is too wide.

    Args:
        rows: each with one cell per heading.
        numeric: columns of numbers, counted from 0, which are right-aligned.
    """
    return _block("table", headings, list(rows), numeric)


def figure(svg: "Markup", caption: str) -> "Markup":
    """One or several plots from a `Gallery`, side by side where there is room, with a caption."""
    return _block("figure", svg, caption)


def code(text: str) -> "Markup":
    """Lines of a file or of commands, verbatim."""
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
    return Environment(
        loader=PackageLoader("ostinato.report"),
        autoescape=True,
        finalize=lambda value: visible_lines(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
