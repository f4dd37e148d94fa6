"""The sections of a report that explain the model. Each plot states its reliability."""

from typing import TYPE_CHECKING

from ostinato.explanation.agreement import Agreement
from ostinato.explanation.logos import plot_logo, plot_profile
from ostinato.explanation.plot_trace import plot_trace
from ostinato.explanation.trace import Trace
from ostinato.report.explained import HOW_TO_READ, faithfulness_block, shown_blocks
from ostinato.report.gallery import Gallery
from ostinato.report.page import Section, bullets, figure, heading, join, paragraph, table
from ostinato.report.wording import counted, percent
from ostinato.tasks.sequences.report_evidence import METHOD, Evidence, Letters

if TYPE_CHECKING:
    from markupsafe import Markup

LOGOS = 3  # per label
WIDEST_PROFILE = 150  # positions


def explained_sections(evidence: Evidence, gallery: Gallery, *, label: str, mistakes: str) -> list[Section]:
    """Build the sections: examples, faithfulness, motifs or tokens, a trace, and mistakes.

    Args:
        label: the word for an explained label, such as `class`.
        mistakes: describes the rows in the section of mistakes, in a sentence.
    """
    intro = f"{HOW_TO_READ} Scores by {METHOD} are in {evidence.unit}; attention is a weight."
    examples = (
        shown_blocks(evidence.examples, gallery)
        if evidence.examples
        else paragraph("No test row is answered correctly.")
    )
    sections = [
        Section("Explained examples", "examples", paragraph(intro) + examples),
        Section("Faithfulness", "faithfulness", _faithfulness(evidence, gallery)),
    ]
    if evidence.letters is not None:
        sections.append(Section("Motifs", "motifs", _letters(evidence.letters, evidence, label, gallery)))
    if evidence.tokens:
        sections.append(Section(f"Tokens by {label}", "tokens", _tokens(evidence, label)))
    if evidence.trace is not None:
        sections.append(Section("Step by step", "trace", _trace(evidence.trace, gallery)))
    body = (
        paragraph(mistakes) + shown_blocks(evidence.mistakes, gallery)
        if evidence.mistakes
        else paragraph("The model made no mistakes on the test split.")
    )
    return [*sections, Section("Mistakes", "mistakes", body)]


def _faithfulness(evidence: Evidence, gallery: Gallery) -> "Markup":
    notes = [] if evidence.ablation is None else [evidence.ablation.sentence]
    body = faithfulness_block(evidence.faithfulness, gallery, plotted=(METHOD, "attention"), notes=notes)
    if evidence.agreement:
        headings = ("methods", "rank correlation", "shared top tokens", "sequences")
        body += paragraph(
            "Agreement between methods: the rank correlation of their scores within a sequence, and the share of the "
            "top 10 % of tokens that both select."
        )
        body += table(headings, map(_agreement_row, evidence.agreement), range(1, 4))
    return body


def _agreement_row(each: Agreement) -> tuple[str, ...]:
    values = ("–", "–") if each.correlation is None else (f"{each.correlation:.2f}", f"{each.overlap:.0%}")
    return (f"{each.one} and {each.other}", *values, str(each.n))


def _letters(found: Letters, evidence: Evidence, label_name: str, gallery: Gallery) -> "Markup":
    body = paragraph(
        f"Aligned windows of {counted(evidence.surveyed, 'test sequence')} whose letters clearly support the "
        "prediction. The height of a letter is its information in bits. All motifs are in motifs.meme, which the MEME "
        "Suite reads."
    )
    for label, motifs in found.motifs.items():
        body += heading(f"{label_name.capitalize()} {label}")
        if not motifs:
            body += paragraph(f"No motif supports this {label_name} more often than by chance.")
            continue
        logos = [
            gallery.show(plot_logo(motif), f"Motif {number} of {label}")
            for number, motif in enumerate(motifs[:LOGOS], start=1)
        ]
        body += figure(join(logos), "Largest total attribution first.")
        rows = [
            (motif.consensus, f"{motif.seqlets:,}", f"{motif.score:+.2f}", f"{motif.information.sum():.1f}")
            for motif in motifs
        ]
        body += table(("consensus", "windows", f"mean {evidence.unit}", "bits"), rows, range(1, 4))
    for label, profile in found.profiles.items():
        if len(profile) <= WIDEST_PROFILE:
            plot = plot_profile(profile, found.letters, start=-(len(profile) // 2))
            caption = (
                f"{label_name.capitalize()} {label}: the mean contribution of each letter at each position; 0 is the "
                f"position after the middle. Letters below the line lower it."
            )
            body += figure(gallery.show(plot, f"Letters by position, {label}"), caption)
    notes = _notes(found)
    return body + bullets(notes) if notes else body


def _notes(found: Letters) -> list[str]:
    notes = [
        f"Planted {word}: recovered {score:.3f}, the mean probability of its letters in the best motif (1 is perfect)."
        for word, score in found.recovered.items()
    ]
    if found.strands is not None:
        share, difference = percent(found.strands.share), found.strands.difference
        notes.append(
            f"Both strands get the same answer for {share} of sequences; the answers differ by {difference:.3f} on "
            "average. If the task does not depend on the strand, all answers should agree."
        )
    return notes


def _tokens(evidence: Evidence, label_name: str) -> "Markup":
    body = paragraph(
        f"Tokens with the largest mean score in {counted(evidence.surveyed, 'test sequence')}, by predicted "
        f"{label_name}; tokens that occur fewer than five times are excluded."
    )
    for label, tokens in evidence.tokens.items():
        rows = [(each.token, f"{each.mean:+.3f}", f"{each.occurrences:,}") for each in tokens]
        body += heading(f"{label_name.capitalize()} {label}")
        body += table(("token", f"mean {evidence.unit}", "occurrences"), rows, (1, 2)) if rows else paragraph("None.")
    return body


def _trace(trace: Trace, gallery: Gallery) -> "Markup":
    caption = f"The prediction if the sequence ended at each step, and the units of the top layer. {trace.decision}"
    return figure(gallery.show(plot_trace(trace), "Step by step"), caption)
