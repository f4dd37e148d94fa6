"""The sections of a report that show what the model learnt, each picture beside how far it can be believed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ostinato.explanation.agreement import Agreement
from ostinato.explanation.attribution import Explanation
from ostinato.explanation.faithfulness import Faithfulness
from ostinato.explanation.logos import plot_logo, plot_profile
from ostinato.explanation.markup import explanation_html
from ostinato.explanation.plot_explanation import plot_explanation
from ostinato.explanation.plot_faithfulness import plot_deletion
from ostinato.explanation.plot_trace import plot_trace
from ostinato.explanation.trace import Trace
from ostinato.report.evidence import METHOD, Evidence, Letters, Shown
from ostinato.report.gallery import Gallery
from ostinato.report.page import Section, bullets, figure, heading, join, paragraph, table
from ostinato.report.wording import counted, percent

if TYPE_CHECKING:
    from markupsafe import Markup

LOGOS = 3  # a class
WIDEST_PROFILE = 150  # positions

HOW_TO_READ = (
    "Orange speaks for the answer, blue against it; the strongest score of a sequence has the full colour. "
    "Scores are log-odds by integrated gradients, attention is a weight. A recurrent state mixes what it has read, so a token's score "
    "tells what the model used, not why; below each sequence stands what masking the tokens that rank first does to the answer."
)


def explained_sections(evidence: Evidence, gallery: Gallery) -> list[Section]:
    """Examples, faithfulness, motifs or tokens, a trace, mistakes."""
    return [
        Section("Examples, explained", "examples", paragraph(HOW_TO_READ) + shown_blocks(evidence.examples, gallery)),
        Section("How far to believe it", "faithfulness", _faithfulness(evidence, gallery)),
        *(
            [Section("Motifs", "motifs", _letters(evidence.letters, evidence.surveyed, gallery))]
            if evidence.letters
            else []
        ),
        *([Section("Tokens of each class", "tokens", _tokens(evidence))] if evidence.tokens else []),
        *([Section("Step by step", "trace", _trace(evidence.trace, gallery))] if evidence.trace else []),
        Section("Mistakes", "mistakes", _mistakes(evidence, gallery)),
    ]


def shown_blocks(shown: Sequence[Shown], gallery: Gallery) -> "Markup":
    """Each sequence with its explanations and what masking does to the answer."""
    return join(_one(each, gallery) for each in shown)


def _one(shown: Shown, gallery: Gallery) -> "Markup":
    label = str(shown.explanations[0].label)
    true = (
        ""
        if shown.true is None
        else f" (it is {label})"
        if label == shown.true
        else f" (it is {shown.true}, not {label})"
    )
    body = heading(f"{shown.place}{true}")
    for explanation in shown.explanations:
        body += _picture(explanation, f"{explanation.method} of {shown.place}", gallery)
    return body + paragraph(shown.masking)


def _picture(explanation: Explanation, title: str, gallery: Gallery) -> "Markup":
    from markupsafe import Markup

    if explanation.is_text:
        return Markup(explanation_html(explanation))  # which escapes all that is the user's
    told = (
        f"{explanation.label}: probability {explanation.probability:.3f}, scores of each step by {explanation.method}."
    )
    return figure(gallery.show(plot_explanation(explanation), title), told)


def _faithfulness(evidence: Evidence, gallery: Gallery) -> "Markup":
    body = paragraph(
        "A good explanation ranks first what the model needs. So steps are masked in its order, and in random order: a masked step reads as one of which "
        "nothing is known. Comprehensiveness is the probability that masking the first 1, 5, 10, 20 and 50 % takes away on average, the more the better; "
        "sufficiency what is missing when only they are kept, the less the better (DeYoung et al. 2020). "
        "The area gained lies between the two curves of the masked sequences: above 0, the ranking beats a random one."
    )
    headings = ("method", "comprehensiveness", "random", "sufficiency", "random", "area gained")
    body += table(headings, map(_measured, evidence.faithfulness), range(1, 6))
    body += bullets(
        [each.sentence for each in evidence.faithfulness]
        + ([] if evidence.ablation is None else [evidence.ablation.sentence])
    )
    for each in evidence.faithfulness:
        if each.method in (METHOD, "attention"):
            caption = f"By {each.method}: the mean probability of the label; the grey band is that of random rankings. {_beside_random(each)}"
            body += figure(gallery.show(plot_deletion(each), f"Masking by {each.method}"), caption)
    if evidence.agreement:
        told = "How far the methods agree: the rank correlation of their scores within a sequence, and how many of the top 10 % of tokens they share."
        body += paragraph(told) + table(
            ("methods", "rank correlation", "shared top tokens", "sequences"),
            map(_agreed, evidence.agreement),
            range(1, 4),
        )
    return body


def _measured(each: Faithfulness) -> tuple[str, ...]:
    pairs = [
        f"{value:.3f}" for kind in (each.comprehensiveness, each.sufficiency) for value in (kind.value, kind.random)
    ]
    return (each.method.replace("-", "\u2011"), *pairs, f"{each.area.difference:+.3f}")


def _beside_random(each: Faithfulness) -> str:
    if each.verdict == "better than":
        return "The ranking does better than chance."
    return f"The ranking is {each.verdict} a random one: do not read this method's pictures as reasons."


def _agreed(each: Agreement) -> tuple[str, ...]:
    figures = ("–", "–") if each.correlation is None else (f"{each.correlation:.2f}", f"{each.overlap:.0%}")
    return (f"{each.one} and {each.other}", *figures, str(each.n))


def _letters(known: Letters, surveyed: int, gallery: Gallery) -> "Markup":
    body = paragraph(
        f"Windows of {counted(surveyed, 'test sequence')} whose letters speak clearly for the answer, aligned. "
        "The height of a letter is its information in bits. All motifs are in motifs.meme, which the MEME Suite reads."
    )
    for label, motifs in known.motifs.items():
        body += heading(f"Class {label}")
        if not motifs:
            body += paragraph("No motif: what speaks for this class recurs no more than chance would have it.")
            continue
        pictures = join(
            gallery.show(plot_logo(motif), f"Motif {number} of {label}")
            for number, motif in enumerate(motifs[:LOGOS], start=1)
        )
        body += figure(pictures, "Largest total attribution first.")
        rows = [
            (motif.consensus, f"{motif.seqlets:,}", f"{motif.score:+.2f}", f"{motif.information.sum():.1f}")
            for motif in motifs
        ]
        body += table(("consensus", "windows", "mean log-odds", "bits"), rows, range(1, 4))
    for label, profile in known.profiles.items():
        if len(profile) <= WIDEST_PROFILE:
            picture = gallery.show(
                plot_profile(profile, known.letters, start=-(len(profile) // 2)), f"Letters by position, {label}"
            )
            told = f"Class {label}: what each letter adds at each position on average, 0 the position after the middle; below the line, against the class."
            body += figure(picture, told)
    meant = "the mean probability of its letters under the motif that holds it (1 is perfect)"
    lines = [f"Planted {word}: recovered {score:.3f}, {meant}." for word, score in known.recovered.items()]
    if known.strands is not None:
        lines.append(
            f"The other strand gets the same answer in {percent(known.strands.share)} of sequences; "
            f"the probability differs by {known.strands.difference:.3f} on average. If the task does not depend on the strand, it should be all of them."
        )
    return body + bullets(lines) if lines else body


def _tokens(evidence: Evidence) -> "Markup":
    body = paragraph(
        f"Largest mean score in {counted(evidence.surveyed, 'test sequence')} with that answer, of tokens that occur five times or more there."
    )
    for label, tokens in evidence.tokens.items():
        rows = [(each.token, f"{each.mean:+.3f}", f"{each.occurrences:,}") for each in tokens]
        body += heading(f"Class {label}") + (
            table(("token", "mean log-odds", "occurrences"), rows, (1, 2)) if rows else paragraph("None.")
        )
    return body


def _trace(trace: Trace, gallery: Gallery) -> "Markup":
    picture = gallery.show(plot_trace(trace), "Step by step")
    return figure(
        picture,
        f"The answer had the sequence ended there, and the units of the top layer at each step. {trace.decision}",
    )


def _mistakes(evidence: Evidence, gallery: Gallery) -> "Markup":
    if not evidence.mistakes:
        return paragraph("The model made none on the test split.")
    told = "The wrong answers of the highest confidence: often the label is at fault, or the sequence reads like the other class."
    return paragraph(told) + shown_blocks(evidence.mistakes, gallery)
