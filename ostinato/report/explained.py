"""Explanations on a page: coloured sequences, and how faithful the explanations are."""

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ostinato.explanation.explanation import Explanation
from ostinato.explanation.faithfulness import Faithfulness
from ostinato.explanation.markup import explanation_html
from ostinato.explanation.plot_explanation import plot_explanation
from ostinato.explanation.plot_faithfulness import plot_deletion
from ostinato.report.gallery import Gallery
from ostinato.report.page import bullets, figure, heading, join, paragraph, table
from ostinato.report.wording import decimals, short_source

if TYPE_CHECKING:
    from markupsafe import Markup

HOW_TO_READ = (
    "Orange tokens raise the prediction, blue ones lower it; the strongest score of a sequence has the full colour. "
    "A recurrent state mixes everything that it has read, so a score shows what the model used, not why. Below each "
    "sequence: the effect of masking its top-ranked tokens."
)
HOW_IT_IS_MEASURED = (
    "A good explanation ranks first what the model needs. To test this, tokens are masked in ranked order and in "
    "random order; a masked token carries no information. Comprehensiveness is the mean drop when the first 1, 5, 10, "
    "20 and 50 % are masked: the larger the better. Sufficiency is the mean drop when only these remain: the smaller "
    "the better (DeYoung et al. 2020). The area gained lies between the deletion curves of the ranking and of random "
    "order: above 0, the ranking beats a random one."
)


class Shown(NamedTuple):
    """A sequence on the page.

    Args:
        source: the row that it comes from.
        truth: its target beside the prediction, as `it is good, not bad`; empty where the target is unknown.
        explanations: of the same prediction, by one or several methods.
        masking: what masking does to the prediction, in a sentence.
    """

    source: str
    truth: str
    explanations: Sequence[Explanation]
    masking: str


def spread(count: int, most: int) -> np.ndarray:
    """Indices of at most `most` of `count` rows, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def truth_of(target: object, predicted: object) -> str:
    """A true and a predicted label in words: `it is good`, or `it is good, not bad`."""
    return f"it is {target}" if str(target) == str(predicted) else f"it is {target}, not {predicted}"


def shown_blocks(shown: Iterable[Shown], gallery: Gallery) -> "Markup":
    """Each sequence, coloured by each of its explanations, with the effect of masking."""
    return join(_shown_block(each, gallery) for each in shown)


def faithfulness_block(
    measured: Sequence[Faithfulness], gallery: Gallery, *, plotted: Collection[str], notes: Sequence[str] = ()
) -> "Markup":
    """How several methods of explanation compare with random rankings.

    Args:
        plotted: the methods whose deletion curves are shown.
        notes: further sentences below the table.
    """
    if not measured:
        return paragraph("There is no explanation to measure.")
    headings = ("method", "comprehensiveness", "random", "sufficiency", "random", "area gained")
    body = paragraph(HOW_IT_IS_MEASURED) + table(headings, map(_measured_row, measured), range(1, 6))
    body += bullets([*(each.sentence for each in measured), *notes])
    for each in measured:
        if each.method in plotted:
            caption = f"By {each.method}: the mean {each.answer}; the grey band shows random rankings. {_advice(each)}"
            body += figure(gallery.show(plot_deletion(each), f"Masking by {each.method}"), caption)
    return body


def picture_title(explanation: Explanation, source: str) -> str:
    """What an explanation's plot shows, as `occlusion of reviews.csv, row 17`."""
    word = "" if explanation.token is None else f" word {explanation.token + 1}"
    return f"{explanation.method} of {short_source(source)}{word}"


def _shown_block(shown: Shown, gallery: Gallery) -> "Markup":
    source = short_source(shown.source)
    body = heading(f"{source} ({shown.truth})" if shown.truth else source)
    for explanation in shown.explanations:
        body += _picture(explanation, picture_title(explanation, source), gallery)
    return body + paragraph(shown.masking)


def _picture(explanation: Explanation, title: str, gallery: Gallery) -> "Markup":
    from markupsafe import Markup

    if explanation.is_text:
        return Markup(explanation_html(explanation))  # escapes the user's text
    caption = (
        f"{explanation.title}: {explanation.quantity} {explanation.shown_value}; scores of each step by "
        f"{explanation.method}."
    )
    return figure(gallery.show(plot_explanation(explanation), title), caption)


def _measured_row(each: Faithfulness) -> tuple[str, ...]:
    pairs = [
        decimals(value) for kind in (each.comprehensiveness, each.sufficiency) for value in (kind.value, kind.random)
    ]
    gained = each.area.difference
    return (each.method.replace("-", "\u2011"), *pairs, "–" if gained != gained else f"{gained:+.3f}")


def _advice(each: Faithfulness) -> str:
    if each.verdict == "better than":
        return "The ranking does better than chance."
    return f"The ranking is {each.verdict} a random one: do not read this method's pictures as reasons."
