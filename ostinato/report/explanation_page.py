"""Explained rows as a page, as JSON, and as plots."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ostinato.explanation.plot_explanation import plot_explanation
from ostinato.explanation.plot_faithfulness import plot_deletion
from ostinato.explanation.records import ExplainedRows
from ostinato.report.explained import HOW_TO_READ, Shown, picture_title, shown_blocks
from ostinato.report.gallery import Gallery
from ostinato.report.page import Section, bullets, figure, paragraph, render
from ostinato.report.wording import short_source
from ostinato.storage import write_atomically

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_PLOTS = 20  # of texts, as files; a series is plotted on the page


def write_explanations(folder: Path, explained: ExplainedRows) -> None:
    """Write `explanations.html`, `explanations.json` and the plots as PNG and SVG into a folder.

    Raises:
        RunError: a file cannot be written.
        MissingExtraError: a package of the extra `explain` is not installed.
    """
    gallery = Gallery()
    sections = [Section("Explanations", "explanations", _explanations(explained, gallery))]
    faithfulness = explained.faithfulness
    if faithfulness is not None and faithfulness.n:
        plot = figure(gallery.show(plot_deletion(faithfulness), "Masking"), faithfulness.sentence)
        sections.append(Section("Faithfulness", "faithfulness", plot))
    elif faithfulness is not None:
        sections.append(Section("Faithfulness", "faithfulness", paragraph(faithfulness.sentence)))
    for row in explained.rows[:MOST_PLOTS]:
        if row.explanation.is_text:
            gallery.show(plot_explanation(row.explanation), picture_title(row.explanation, row.source))
    gallery.save(folder)
    content = json.dumps(explained.to_json(), ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(folder / "explanations.json", content)
    write_atomically(folder / "explanations.html", render("Explanations", sections))


def _explanations(explained: ExplainedRows, gallery: Gallery) -> "Markup":
    shown = [Shown(row.source, row.comparison, [row.explanation], row.masking) for row in explained.rows]
    body = paragraph(HOW_TO_READ) + shown_blocks(shown, gallery)
    without = [f"{short_source(source)}: no entity found." for source in explained.unexplained]
    return body + bullets(without) if without else body
