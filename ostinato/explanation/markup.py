"""Explanations as coloured text: HTML for notebooks and reports, rich text for terminals. Everything of the user's is escaped."""

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from rich.text import Text

# Orange speaks for the class, blue against it: told apart by the colour-blind, and seen on light and dark ground.
FOR, AGAINST = "#e66101", "#2678dc"
FAINT = 0.04  # of the strongest: below this a token stays uncoloured


class Coloured(Protocol):
    """What is shown of an explanation: see `Explanation`; `TagExplanation` has it too."""

    @property
    def label(self) -> Any: ...
    @property
    def probability(self) -> float: ...
    @property
    def method(self) -> str: ...
    @property
    def gap(self) -> float | None: ...
    @property
    def tokens(self) -> list[str]: ...
    @property
    def steps(self) -> list[str]: ...
    @property
    def offsets(self) -> list[tuple[int, int]]: ...
    @property
    def scores(self) -> np.ndarray: ...
    @property
    def is_text(self) -> bool: ...
    @property
    def text(self) -> str: ...


def segments(explanation: Coloured) -> list[tuple[str, float | None]]:
    """The sequence as it was given, cut where the score changes; None between tokens and where it was truncated away.

    Of a series with several numbers a step there are the steps' numbers, from 1. Where tokens overlap (k-mers), a character
    has the mean of those that cover it.
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
    """The score that gets the full colour; 0 when there is none."""
    return float(np.abs(scores).max(initial=0.0))


def explanation_html(explanation: Coloured) -> str:
    """A paragraph: the answer, and below it the sequence with its tokens coloured. Needs no style sheet."""
    scale = strongest(explanation.scores)
    body = "".join(_span(text, score, scale) for text, score in segments(explanation))
    gap = "" if explanation.gap is None else f", completeness gap {explanation.gap:.1%}"
    head = f"<strong>{escape(str(explanation.label))}</strong> {explanation.probability:.3f} <small>({escape(explanation.method)}{gap})</small>"
    font = (
        ";font-family:ui-monospace,monospace" if all(len(token) == 1 for token in explanation.tokens) else ""
    )  # letters stay below each other
    return f'<div class="explanation"><div>{head}</div><div style="white-space:pre-wrap;overflow-wrap:anywhere{font}">{body}</div></div>'


def explanation_text(explanation: Coloured) -> "Text":
    """The sequence with its tokens on coloured ground, for a terminal."""
    from rich.text import Text

    scale = strongest(explanation.scores)
    text = Text()
    for part, score in segments(explanation):
        shown = "".join(character if character.isprintable() or character == "\n" else " " for character in part)
        strength = 0.0 if score is None or scale == 0 else score / scale
        text.append(shown, style=ground(strength) if abs(strength) > FAINT else "")
    return text


def _by_character(explanation: Coloured, text: str) -> list[tuple[str, float | None]]:
    total, covering = np.zeros(len(text) + 1), np.zeros(len(text) + 1)
    for (start, end), score in zip(explanation.offsets, explanation.scores, strict=True):
        total[start:end] += score
        covering[start:end] += 1
    return [(character, total[at] / covering[at] if covering[at] else None) for at, character in enumerate(text)]


def _span(text: str, score: float | None, scale: float) -> str:
    if score is None or scale == 0 or abs(score) <= FAINT * scale:
        return escape(text)
    red, green, blue = _rgb(score)
    return f'<span style="background:rgba({red},{green},{blue},{abs(score) / scale * 0.75:.2f})" title="{score:+.3g}">{escape(text)}</span>'


def ground(strength: float) -> str:
    """A rich style: the colour of a strength from −1 to 1, mixed with white, and black letters on it."""
    share = abs(strength)
    red, green, blue = (round(255 + (part - 255) * share) for part in _rgb(strength))
    return f"black on #{red:02x}{green:02x}{blue:02x}"


def _rgb(score: float) -> bytes:
    return bytes.fromhex((FOR if score > 0 else AGAINST)[1:])
