"""Shows the figures of Ostinato in the gallery: they are not pyplot's, so its scraper does not see them."""

from typing import Any
from weakref import WeakSet

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

shown: WeakSet[Figure] = WeakSet()


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any], **_: Any) -> str:
    """Save figures that the last block has assigned to a name or ends with, unless pyplot manages them."""
    paths = []
    for value in list(block_vars["example_globals"].values()):
        if isinstance(value, Figure) and not hasattr(value, "number") and value not in shown:
            shown.add(value)
            paths.append(next(block_vars["image_path_iterator"]))
            value.savefig(paths[-1], dpi=120, bbox_inches="tight")
    return str(figure_rst(paths, gallery_conf["src_dir"]))
