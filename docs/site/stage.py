"""Copies the pages of the documentation to where Sphinx reads them, and fills in what is generated from the code.

Pages are written for readers on a code host too, so their links lead to files of the repository. In the copy they lead
to pages of the site: CHANGELOG.md and benchmarks/README.md become pages, scripts of the gallery become their pages,
and other files are copied next to the site.
"""

import os
import re
import shutil
import sys
from pathlib import Path

from generated import GENERATED

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MOVED = {  # files outside docs that are pages of the site
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/results/comparisons": "benchmarks.md",
    "examples/gallery/README.rst": "gallery/index.rst",
}
COMPARISONS = Path("benchmarks/results/comparisons")
GALLERY = Path("examples/gallery")
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?)\[((?:`[^`]*`|[^\]`])*)\]\(([^)\s]+)\)")
MARKER = re.compile(r"^<!-- generated: ([\w-]+) -->$", re.MULTILINE)


def main(source: Path, extra: Path) -> None:
    """Write the pages to the folder `source`, and files that they link to, to `extra`."""
    shutil.rmtree(extra, ignore_errors=True)
    extra.mkdir(parents=True)
    pages = {path: path.relative_to(DOCS) for path in DOCS.rglob("*.md")}
    pages |= {ROOT / name: Path(page) for name, page in MOVED.items() if page != "index.md" and name.endswith(".md")}
    for path, page in pages.items():
        text = MARKER.sub(lambda marker: GENERATED[marker[1]](), path.read_text(encoding="utf-8"))
        write(source / page, with_links_of_the_site(text, path, page, extra))
    for figure in DOCS.rglob("*.png"):
        write(source / figure.relative_to(DOCS), figure.read_bytes())
    removed = {path for path in source.rglob("*.md") if path.relative_to(source) not in pages.values()}
    for path in removed:
        path.unlink()


def write(path: Path, content: str | bytes) -> None:
    """Write a file, unless it has this content already: Sphinx reads again what is newer than its last build."""
    data = content.encode() if isinstance(content, str) else content
    if not path.exists() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def with_links_of_the_site(text: str, path: Path, page: Path, extra: Path) -> str:
    """The text of a page, whose links lead to pages of the site or to copies of files."""
    blocks = [match.span() for match in BLOCK.finditer(text)]

    def replaced(link: re.Match[str]) -> str:
        image, words, target = link.groups()
        if any(start <= link.start() < end for start, end in blocks) or re.match(r"\w+:|#", target):
            return link[0]
        name, hash_sign, anchor = target.partition("#")
        file = Path(os.path.relpath((path.parent / name).resolve(), ROOT))
        up = "../" * (len(page.parts) - 1)
        anchor = hash_sign + anchor
        if (moved := MOVED.get(file.as_posix())) is not None:
            return f"{image}[{words}]({up}{moved}{'' if moved == 'index.md' else anchor})"
        if file.parts[0] == "docs":
            return f"{image}[{words}]({os.path.relpath(ROOT / file, DOCS / page.parent)}{anchor})"
        if file.parent == GALLERY:
            return f"[{words}]({up}gallery/{file.stem}.rst)"
        return f'<a href="{up}{copied(file, extra).as_posix()}">{words}</a>'

    return LINK.sub(replaced, text)


def copied(file: Path, extra: Path) -> Path:
    """Where the copy of a file is, relative to the site."""
    if file.parent == COMPARISONS:
        file = file / "comparison.html"
    copy = "comparisons" / file.relative_to(COMPARISONS) if COMPARISONS in file.parents else Path("files") / file
    (extra / copy).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / file, extra / copy)
    return copy


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
