"""Explanations as coloured text: HTML for notebooks and reports, rich text for terminals. All user text is escaped."""

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ostinato.printable import visible, visible_lines

if TYPE_CHECKING:
    from rich.text import Text

    from ostinato.explanation.explanation import Explanation

# Orange speaks for the answer, blue against it: distinct for colour-blind readers, visible on light and dark.
FOR, AGAINST = "#e66101", "#2678dc"
FAINT = 0.04  # of the largest score: tokens below this have no colour


def segments(explanation: "Explanation") -> list[tuple[str, float | None]]:
    """The sequence as given, split into tokens with their scores; None between tokens and for truncated text.

    For a series with several numbers a step, the text is the steps' numbers, from 1. If tokens overlap (k-mers), a
    character has the mean score of the tokens that cover it.
    """
    if not explanation.is_text:
        pairs = [
            [(step, float(score)), (" ", None)]
            for step, score in zip(explanation.steps, explanation.scores, strict=True)
        ]
        return [part for pair in pairs for part in pair][:-1]
    text = explanation.text
    if any(end > start for (_, end), (start, _) in pairwise(explanation.offsets)):
        return _by_character(explanation, text)
    parts: list[tuple[str, float | None]] = []
    at = 0
    for (start, end), score in zip(explanation.offsets, explanation.scores, strict=True):
        parts += [(text[at:start], None), (text[start:end], float(score))]
        at = end
    return [part for part in [*parts, (text[at:], None)] if part[0]]


def strongest(scores: np.ndarray) -> float:
    """The largest absolute score, which gets the full colour; 0 without scores."""
    return float(np.abs(scores).max(initial=0.0))


def explanation_html(explanation: "Explanation") -> str:
    """The answer, and below it the sequence with coloured tokens; needs no style sheet."""
    scale = strongest(explanation.scores)
    body = "".join(_span(text, score, scale) for text, score in segments(explanation))
    gap = "" if explanation.gap is None else f", completeness gap {explanation.gap:.1%}"
    answer = f"<strong>{escape(visible(explanation.title))}</strong> {explanation.shown_value}"
    head = f"{answer} <small>({escape(explanation.method)}{gap})</small>"
    style = "white-space:pre-wrap;overflow-wrap:anywhere"
    if all(len(token) == 1 for token in explanation.tokens):  # letters of different lines are aligned
        style += ";font-family:ui-monospace,monospace"
    return f'<div class="explanation"><div>{head}</div><div style="{style}">{body}</div></div>'


def explanation_text(explanation: "Explanation") -> "Text":
    """The sequence with its tokens on coloured background, for a terminal."""
    from rich.text import Text

    scale = strongest(explanation.scores)
    text = Text()
    for part, score in segments(explanation):
        strength = 0.0 if score is None or scale == 0 else score / scale
        text.append(visible_lines(part), style=background(strength) if abs(strength) > FAINT else "")
    return text


def _by_character(explanation: "Explanation", text: str) -> list[tuple[str, float | None]]:
    total, covering = np.zeros(len(text) + 1), np.zeros(len(text) + 1)
    for (start, end), score in zip(explanation.offsets, explanation.scores, strict=True):
        total[start:end] += score
        covering[start:end] += 1
    return [(character, total[at] / covering[at] if covering[at] else None) for at, character in enumerate(text)]


def _span(text: str, score: float | None, scale: float) -> str:
    if score is None or scale == 0 or abs(score) <= FAINT * scale:
        return escape(visible_lines(text))
    red, green, blue = _rgb(score)
    colour = f"rgba({red},{green},{blue},{abs(score) / scale * 0.75:.2f})"
    return f'<span style="background:{colour}" title="{score:+.3g}">{escape(visible_lines(text))}</span>'


def background(strength: float) -> str:
    """A rich style: black on the colour of a strength from −1 to 1, mixed with white."""
    share = abs(strength)
    red, green, blue = (round(255 + (part - 255) * share) for part in _rgb(strength))
    return f"black on #{red:02x}{green:02x}{blue:02x}"


def _rgb(score: float) -> bytes:
    return bytes.fromhex((FOR if score > 0 else AGAINST)[1:])
