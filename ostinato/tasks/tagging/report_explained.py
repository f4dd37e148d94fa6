"""The sections of a tagger's report that show what spoke for its tags, and explained tags as a page of their own."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ostinato.explanation.markup import explanation_html
from ostinato.explanation.tag_faithfulness import TagFaithfulness
from ostinato.explanation.tag_records import ExplainedTag, ExplainedTags
from ostinato.report.evidence import short
from ostinato.report.gallery import make_folder
from ostinato.report.page import Section, bullets, heading, join, paragraph, render, table
from ostinato.report.tagger_evidence import TagEvidence
from ostinato.storage import write_atomically

if TYPE_CHECKING:
    from markupsafe import Markup

HOW_TO_READ = (
    "Each picture asks what spoke for one tag of one word: of an entity, its least certain word. Orange speaks for the tag, blue against it; "
    "the strongest score of a sentence has the full colour. Scores are log-odds of the tag's probability at that word. A recurrent state mixes "
    "what it has read, so a score tells what the tagger used, not why; below each sentence stands what masking the other words that rank first does."
)


def tag_sections(evidence: TagEvidence) -> list[Section]:
    """Examples, faithfulness, mistakes."""
    examples = (
        explained_blocks(evidence.examples)
        if evidence.examples
        else paragraph("The tagger has no right answer to show.")
    )
    return [
        Section("Examples, explained", "examples", paragraph(HOW_TO_READ) + examples),
        Section("How far to believe it", "faithfulness", _faithfulness(evidence.faithfulness)),
        Section("Mistakes", "mistakes", _mistakes(evidence.mistakes)),
    ]


def explained_blocks(explained: Sequence[ExplainedTag]) -> "Markup":
    """Each sentence, coloured, with what masking does to the tag."""
    return join(_one(each) for each in explained)


def write_explained_tags(folder: Path, explained: ExplainedTags) -> None:
    """Write `explanations.html` and `explanations.json` into a folder.

    Raises:
        RunError: a file cannot be written.
        MissingExtraError: a package of the extra `explain` is not installed.
    """
    without = [f"{short(sentence.place)}: no entity found." for sentence in explained.without]
    body = paragraph(HOW_TO_READ) + explained_blocks(explained.tags) + (bullets(without) if without else "")
    measured = [] if explained.faithfulness is None else [explained.faithfulness]
    sections = [
        Section("Explanations", "explanations", body),
        Section("How far to believe them", "faithfulness", _faithfulness(measured)),
    ]
    make_folder(folder)
    write_atomically(
        folder / "explanations.json", json.dumps(explained.to_dict(), ensure_ascii=False, allow_nan=False) + "\n"
    )
    write_atomically(folder / "explanations.html", render("Explanations", sections))


def _one(each: ExplainedTag) -> "Markup":
    from markupsafe import Markup

    tag = each.explanation.tag
    true = "" if each.true is None else " (right)" if each.true == tag else f" (it is {each.true}, not {tag})"
    coloured = Markup(explanation_html(each.explanation))  # which escapes all that is the user's
    return heading(f"{short(each.place)}{true}") + coloured + paragraph(each.masking)


def _faithfulness(measured: Sequence[TagFaithfulness]) -> "Markup":
    if not measured:
        return paragraph("There is no explanation to measure.")
    body = paragraph(
        "A good explanation ranks first what the tagger needs. So other words are masked in its order, and in random order: a masked word reads as one "
        "of which nothing is known; the word that bears the tag stays. Given is the probability of the tag that masking the first 1, 5, 10, 20 and 50 % "
        "takes away on average, the mean over sentences: above the random figure, the ranking beats a random one."
    )
    rows = [(each.method.replace("-", "\u2011"), *_figures(each), f"{each.n:,}") for each in measured]
    return (
        body
        + table(("method", "lost", "at random", "difference", "tags"), rows, range(1, 5))
        + bullets(each.sentence for each in measured)
    )


def _figures(each: TagFaithfulness) -> tuple[str, str, str]:
    if not each.n:
        return "–", "–", "–"
    return f"{each.by_sentence.value:.3f}", f"{each.by_sentence.random:.3f}", f"{each.by_sentence.difference:+.3f}"


def _mistakes(mistakes: Sequence[ExplainedTag]) -> "Markup":
    if not mistakes:
        return paragraph("The tagger made none on the test split.")
    told = "The wrong tags of the highest probability, one of each sentence: often the given tag is at fault, or the word stands for both."
    return paragraph(told) + explained_blocks(mistakes)
