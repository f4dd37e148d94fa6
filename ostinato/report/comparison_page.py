"""The page of a comparison: one self-contained file."""

from pathlib import Path
from typing import Any

from ostinato.report.page import Section, bullets, render
from ostinato.storage import write_atomically


def write_comparison_page(results: dict[str, Any], folder: Path) -> Path:
    page = folder / "comparison.html"
    write_atomically(page, render("x", [Section("Pairs", "pairs", bullets(pair["sentence"] for pair in results["pairs"]))]))
    return page
