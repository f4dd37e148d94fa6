"""A matplotlib figure as SVG within a page: text stays text, black and white become the page's own colours."""

import hashlib
import io
import re
import warnings
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from ostinato.errors import MissingExtraError
from ostinato.printable import visible_lines

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
PAGE_COLOURS = {"#000000": "currentColor", "#ffffff": "var(--ground, white)"}
ID_REFERENCE = re.compile(r"url\(#(.+?)\)|^#(.+)$")
SMALLEST = 0.7  # of its natural width; on a narrower page it scrolls


def inline_svg(figure: "Figure", title: str) -> "Markup":
    """Draw a figure as an `<svg>` element for a page, at most at its natural size; same figure, same bytes.

    Args:
        title: what the plot shows, for screen readers. Ids are derived from title and content, so that those of two
            plots on a page differ.

    Raises:
        MissingExtraError: markupsafe is not installed.
    """
    try:
        from markupsafe import Markup
    except ImportError:
        raise MissingExtraError("jinja2", "explain", "A picture in a page") from None
    source = _draw(figure)
    root = ElementTree.fromstring(source)
    prefix = hashlib.sha256(f"{title}\n{source}".encode()).hexdigest()[:8]
    for element in root.iter():
        element.tag = element.tag.partition("}")[2]  # HTML uses SVG's names without their namespace
        element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        _take_page_colours(element)
    _keep_referenced_ids(root, prefix)
    _frame(root, title)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _draw(figure: "Figure") -> str:
    import matplotlib

    drawn = io.StringIO()
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ostinato"}):
        warnings.filterwarnings("ignore", "Glyph .* missing from (current )?font")  # the reader's browser has the fonts
        figure.savefig(drawn, format="svg", transparent=True, metadata=NO_METADATA)
    return NOT_IN_XML.sub(" ", visible_lines(drawn.getvalue()))


def _take_page_colours(element: ElementTree.Element) -> None:
    """Black becomes the page's text colour, white its background, and text uses the page's font."""
    if "style" not in element.attrib:
        return
    rules = dict(rule.split(": ", 1) for rule in element.attrib["style"].split("; "))
    rules.pop("font-family", None)
    element.attrib["style"] = "; ".join(f"{name}: {PAGE_COLOURS.get(value, value)}" for name, value in rules.items())


def _keep_referenced_ids(root: ElementTree.Element, prefix: str) -> None:
    """Give the ids that are referenced a prefix of the plot's own; remove the others."""
    referenced = {
        first or second
        for element in root.iter()
        for value in element.attrib.values()
        for first, second in ID_REFERENCE.findall(value)
    }
    for element in root.iter():
        if element.attrib.get("id") not in referenced:
            element.attrib.pop("id", None)
        for name, value in element.attrib.items():
            if name == "id":
                element.attrib[name] = f"{prefix}-{value}"
            elif "#" in value:
                element.attrib[name] = ID_REFERENCE.sub(lambda found: found[0].replace("#", f"#{prefix}-"), value)


def _frame(root: ElementTree.Element, title: str) -> None:
    """Set the root's attributes: a name, and a size in points."""
    width = float(root.attrib["viewBox"].split()[2])
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-label": title,
        "fill": "currentColor",
        "style": f"width: 100%; max-width: {width:g}pt; min-width: {SMALLEST * width:g}pt; "
        "stroke-linejoin: round; stroke-linecap: butt",
    }
    for definitions in [child for child in root if child.tag == "defs" and child.find("style") is not None]:
        root.remove(definitions)  # matplotlib's only style rule would apply to the whole page: the root has it now
