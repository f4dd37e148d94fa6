"""The report of a run: its page, its model card, and the pictures as files."""

from collections.abc import Sequence
from pathlib import Path

from ostinato.estimators import load_classifier
from ostinato.explanation.meme import write_meme
from ostinato.progress import Progress
from ostinato.report.evidence import Evidence, collect_evidence
from ostinato.report.explained import explained_sections
from ostinato.report.facts import RunFacts, collect_run
from ostinato.report.gallery import Gallery
from ostinato.report.model_card import card_markdown, model_card
from ostinato.report.page import Section, render
from ostinato.report.results import record_sections, result_sections
from ostinato.runs import test_examples
from ostinato.storage import write_atomically


def report_run(folder: Path, *, progress: Progress | None = None) -> Path:
    """Write `report.html`, `model_card.md`, the pictures in `figures/` and, for DNA, RNA and protein, `motifs.meme` into a run's folder.

    Returns:
        The page's path.

    Raises:
        RunError: the run is not finished or was altered, the test split is not as it was scored, or a file cannot be written.
        MissingExtraError: a package of the extra `explain` is not installed.
    """
    facts, gallery = collect_run(folder), Gallery()
    if facts.predictions is None:
        sections = result_sections(facts, None, gallery)
    else:
        model, test = load_classifier(folder), test_examples(folder)
        sections = result_sections(facts, model.encoder_.encode(test.sequences).lengths.numpy(), gallery)
        evidence = collect_evidence(model, test, facts.predictions, data=facts.config.data.name, progress=progress or Progress(quiet=True))
        sections += explained_sections(evidence, gallery)
        _write_motifs(folder, evidence)
    gallery.save(folder / "figures")
    return write_page(facts, [*sections, *record_sections(facts)])


def write_page(facts: RunFacts, sections: Sequence[Section]) -> Path:
    """Write the page and, where there is none yet, the model card. Returns the page's path.

    A model card that is there already is left as it is: its author may have filled it in.

    Raises:
        RunError: a file cannot be written.
    """
    page = facts.folder / "report.html"
    write_atomically(page, render(f"Report of {facts.name}", sections))
    card = facts.folder / "model_card.md"
    if not card.exists():
        write_atomically(card, card_markdown(f"Model card of {facts.name}", model_card(facts)))
    return page


def _write_motifs(folder: Path, evidence: Evidence) -> None:
    if evidence.letters is not None:
        motifs = [motif for each in evidence.letters.motifs.values() for motif in each]
        write_meme(folder / "motifs.meme", motifs, evidence.letters.letters, evidence.letters.background)
