"""The report of a run: its page, its model card, and the pictures as files."""

from pathlib import Path

from ostinato.estimators import load_classifier
from ostinato.explanation.meme import write_meme
from ostinato.progress import Progress
from ostinato.report.evidence import Evidence, collect_evidence
from ostinato.report.explained import explained_sections
from ostinato.report.facts import collect_run
from ostinato.report.files import write_page
from ostinato.report.gallery import Gallery
from ostinato.report.model_card import model_card
from ostinato.report.results import record_sections, result_sections
from ostinato.report.tagger_report import report_tagger
from ostinato.runs import finished_metrics, test_examples


def report_run(folder: Path, *, progress: Progress | None = None) -> Path:
    """Write `report.html`, `model_card.md`, the pictures in `figures/` and, of models of DNA, RNA and protein, `motifs.meme` into a run's folder.

    Returns:
        The page's path.

    Raises:
        RunError: the run is not finished or was altered, the test split is not as it was scored, or a file cannot be written.
        MissingExtraError: a package of the extra `explain` is not installed.
    """
    progress = progress or Progress(quiet=True)
    if (finished_metrics(folder) or {}).get("task") == "tagging":
        return report_tagger(folder, progress=progress)
    facts, gallery = collect_run(folder), Gallery()
    if facts.predictions is None:
        sections = result_sections(facts, None, gallery)
    else:
        model, test = load_classifier(folder), test_examples(folder)
        sections = result_sections(facts, model.encoder_.encode(test.sequences).lengths.numpy(), gallery)
        evidence = collect_evidence(model, test, facts.predictions, data=facts.config.data.name, progress=progress)
        sections += explained_sections(evidence, gallery)
        _write_motifs(folder, evidence)
    gallery.save(folder / "figures")
    card = model_card(facts)
    return write_page(facts, [*sections, *record_sections(facts, card)], card)


def _write_motifs(folder: Path, evidence: Evidence) -> None:
    if evidence.letters is not None:
        motifs = [motif for each in evidence.letters.motifs.values() for motif in each]
        write_meme(folder / "motifs.meme", motifs, evidence.letters.letters, evidence.letters.background)
