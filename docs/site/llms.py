"""Writes llms.txt: the pages of the site with their first sentences, for programs that read documentation."""

import re
from pathlib import Path
from typing import Any

from docutils import nodes


def setup(app: Any) -> dict[str, bool]:
    """Run at the end of each build of HTML."""
    app.connect("build-finished", write_llms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_llms(app: Any, error: Exception | None) -> None:
    """Write llms.txt in the order of the tables of contents; pages are linked as Markdown or reStructuredText."""
    if error is not None or app.builder.name != "html":
        return
    children = app.env.toctree_includes
    lines = ["# Ostinato", "", f"> {first_sentence(app, app.config.root_doc)}"]
    for section in children[app.config.root_doc]:
        lines += ["", f"## {app.env.titles[section].astext()}", ""]
        lines += [entry(app, page) for page in dict.fromkeys([section, *children.get(section, [])])]
    (Path(app.outdir) / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def entry(app: Any, page: str) -> str:
    """One line: the title of a page, its source, and what it says first."""
    source = Path(app.env.doc2path(page)).suffix
    return f"- [{app.env.titles[page].astext()}](_sources/{page}{source}.txt): {first_sentence(app, page)}"


def first_sentence(app: Any, page: str) -> str:
    """The first sentence of a page."""
    found = (each for each in app.env.get_doctree(page).findall(nodes.paragraph) if is_prose(each))
    text = " ".join(next((each.astext() for each in found), "").split())
    return re.split(r"(?<=[.?!]) ", text)[0].rstrip(":")


def is_prose(paragraph: nodes.paragraph) -> bool:
    """Whether a paragraph is neither in a table nor in a list."""
    return isinstance(paragraph.parent, nodes.section)
