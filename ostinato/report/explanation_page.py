"""Explained rows as a page, as JSON, and as plots."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ostinato.explanation.explanation import Explanation
from ostinato.explanation.markup import explanation_html
from ostinato.explanation.plot_explanation import plot_explanation
from ostinato.explanation.plot_faithfulness import plot_deletion
from ostinato.explanation.records import ExplainedRow, ExplainedRows
from ostinato.report.gallery import Gallery
from ostinato.report.page import Section, bullets, figure, heading, join, paragraph, render
from ostinato.storage import write_atomically

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_PLOTS = 20  # of texts, as files; a series is plotted on the page
HOW_TO_READ = (
    "Orange speaks for the answer, blue against it; the largest score of a sequence has the full colour. A recurrent "
    "state mixes what it has read, so a score shows what the model used, not why. Below each sequence is the effect of "
    "masking its top-ranked tokens."
)


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
            gallery.show(plot_explanation(row.explanation), _plot_title(row.explanation, row.source))
    gallery.save(folder)
    content = json.dumps(explained.to_json(), ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(folder / "explanations.json", content)
    write_atomically(folder / "explanations.html", render("Explanations", sections))


def explained_blocks(rows: Iterable[ExplainedRow], gallery: Gallery) -> "Markup":
    """Each row with its explanation and the effect of masking."""
    return join(
        heading(f"{short_source(row.source)}{row.truth}")
        + explanation_block(row.explanation, row.source, gallery)
        + paragraph(row.masking)
        for row in rows
    )


def explanation_block(explanation: Explanation, source: str, gallery: Gallery) -> "Markup":
    """The coloured text, or a plot of a series."""
    from markupsafe import Markup

    if explanation.is_text:
        return Markup(explanation_html(explanation))  # which escapes all user text
    caption = (
        f"{explanation.title}: {explanation.quantity} {explanation.shown_value}, scores of each step by "
        f"{explanation.method}."
    )
    return figure(gallery.show(plot_explanation(explanation), _plot_title(explanation, source)), caption)


def short_source(source: str) -> str:
    """A source without the folders of its file."""
    path, comma, row = source.rpartition(", ")
    return f"{Path(path).name}{comma}{row}"


def _explanations(explained: ExplainedRows, gallery: Gallery) -> "Markup":
    body = paragraph(HOW_TO_READ) + explained_blocks(explained.rows, gallery)
    without: Sequence[str] = [f"{short_source(source)}: no entity found." for source in explained.unexplained]
    return body + bullets(without) if without else body


def _plot_title(explanation: Explanation, source: str) -> str:
    of = short_source(source) if explanation.token is None else f"{short_source(source)} word {explanation.token + 1}"
    return f"{explanation.method} of {of}"
