"""Explained records as a page, as JSON, and as pictures."""

import json
from pathlib import Path

from ostinato.explanation.plot_explanation import plot_explanation
from ostinato.explanation.plot_faithfulness import plot_deletion
from ostinato.explanation.records import ExplainedRecords
from ostinato.report.evidence import Shown, short
from ostinato.report.explained import HOW_TO_READ, shown_blocks
from ostinato.report.gallery import Gallery
from ostinato.report.page import Section, figure, paragraph, render
from ostinato.storage import write_atomically

MOST_PICTURES = 20  # of explanations, as files


def write_explanations(folder: Path, explained: ExplainedRecords) -> None:
    """Write `explanations.html`, `explanations.json` and the pictures as PNG and SVG into a folder.

    Raises:
        RunError: a file cannot be written.
        MissingExtraError: a package of the extra `explain` is not installed.
    """
    gallery = Gallery()
    shown = [
        Shown(short(record.place), record.label, [explanation], explained.faithfulness.masking(row))
        for row, (record, explanation) in enumerate(zip(explained.records, explained.explanations, strict=True))
    ]
    faithfulness = explained.faithfulness
    sections = [
        Section("Explanations", "explanations", paragraph(HOW_TO_READ) + shown_blocks(shown, gallery)),
        Section(
            "How far to believe them",
            "faithfulness",
            figure(gallery.show(plot_deletion(faithfulness), "Masking"), faithfulness.sentence),
        ),
    ]
    for record, explanation in list(zip(explained.records, explained.explanations, strict=True))[:MOST_PICTURES]:
        if explanation.is_text:  # a series is on the page as a picture already
            gallery.show(plot_explanation(explanation), f"{explanation.method} of {short(record.place)}")
    gallery.save(folder)
    write_atomically(
        folder / "explanations.json", json.dumps(explained.to_dict(), ensure_ascii=False, allow_nan=False) + "\n"
    )
    write_atomically(folder / "explanations.html", render("Explanations", sections))
