"""The report of a tagger's run: its page, its model card, and the pictures as files."""

from pathlib import Path

from ostinato.estimators import load_tagger
from ostinato.progress import Progress
from ostinato.report.files import write_page
from ostinato.report.gallery import Gallery
from ostinato.report.results import record_sections
from ostinato.report.tagger_card import tagger_card
from ostinato.report.tagger_evidence import collect_tag_evidence
from ostinato.report.tagger_explained import tag_sections
from ostinato.report.tagger_facts import collect_tagger
from ostinato.report.tagger_results import tagger_sections


def report_tagger(folder: Path, *, progress: Progress) -> Path:
    """Write `report.html`, `model_card.md` and the pictures in `figures/` into a tagger's run folder.

    Returns:
        The page's path.

    Raises:
        RunError: the run is not finished or was altered, or a file cannot be written.
        MissingExtraError: a package of the extra `explain` is not installed.
    """
    facts, gallery = collect_tagger(folder), Gallery()
    sections = tagger_sections(facts, gallery)
    if facts.answered is not None:
        sections += tag_sections(collect_tag_evidence(load_tagger(folder), facts.answered, progress=progress))
    gallery.save(folder / "figures")
    card = tagger_card(facts)
    return write_page(facts, [*sections, *record_sections(facts, card)], card)
