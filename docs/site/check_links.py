"""Fails if a page of the built site has a dead internal link, needs another host, or lacks its notebook."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src")}
NOT_LOADED = {"canonical", "author", "search", "index", "next", "prev"}  # of <link rel=…>


class Page(HTMLParser):
    """The targets of a page's links, what it loads, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        for name in ("href", "src"):
            if name in values:
                self.links.append(values[name])
                if (tag, name) in LOADED and values.get("rel") not in NOT_LOADED:
                    self.loaded.append(values[name])


def faults(site: Path) -> list[str]:
    """One line for each dead link, file that is loaded from elsewhere, and gallery page without its notebook."""
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}
    found = []
    for path, page in sorted(pages.items()):
        name = path.relative_to(site.resolve())
        found += [f"{name}: loads {target}" for target in page.loaded if re.match(r"(\w+:)?//", target)]
        if path.match("gallery/plot_*.html") and not any(each.endswith(f"/{path.stem}.ipynb") for each in page.links):
            found.append(f"{name}: no notebook {path.stem}.ipynb")
        for target in dict.fromkeys(page.links):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            file = file / "index.html" if file.is_dir() else file
            if not file.exists():
                found.append(f"{name}: no file {target}")
            elif parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].anchors:
                found.append(f"{name}: no anchor {target}")
    return found


if __name__ == "__main__":
    lines = faults(Path(sys.argv[1]))
    print(
        "\n".join(lines)
        or "All internal links lead somewhere, no page needs another host, and each program is a notebook."
    )
    sys.exit(bool(lines))
