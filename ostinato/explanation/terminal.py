"""Explanations and traces as a person reads them in a terminal."""

import numpy as np
from rich.console import Console

from ostinato.explanation.explanation import Explanation
from ostinato.explanation.markup import explanation_text
from ostinato.explanation.records import ExplainedRows
from ostinato.explanation.trace import Trace
from ostinato.explanation.trace_text import trace_lines
from ostinato.printable import visible, visible_lines

MOST_TOKENS = 8  # named if colours cannot be seen


def print_explained(explained: ExplainedRows) -> None:
    """The answer for each row, its coloured sequence and the effect of masking; then how faithful they are.

    In a sentence, the word whose tag is explained is underlined.
    """
    console = Console(markup=False, emoji=False, highlight=False)
    for row in explained.rows:
        explanation = row.explanation
        answer = f"{explanation.title} {explanation.shown_value} by {explanation.method}"
        truth = f" ({row.comparison})" if row.comparison else ""
        console.print(visible(f"{row.source}: {answer}{truth}"), style="bold", soft_wrap=True)
        text = explanation_text(explanation)
        if explanation.token is not None:
            start, end = explanation.offsets[explanation.token]
            before, word = (
                len(visible_lines(part)) for part in (explanation.text[:start], explanation.text[start:end])
            )
            text.stylize("bold underline", before, before + word)
        console.print(text, soft_wrap=True)
        _print_strongest(console, explanation)
        console.print(f"{row.masking}\n", style="dim", soft_wrap=True)
    for source in explained.unexplained:
        console.print(f"{visible(source)}: no entity found, nothing to explain. Name a word: --token N", soft_wrap=True)
    if explained.faithfulness is not None:
        console.print(explained.faithfulness.sentence, soft_wrap=True)


def print_trace(trace: Trace) -> None:
    """One line per step."""
    console = Console(markup=False, emoji=False, highlight=False)
    console.print(trace_lines(trace, console.width), soft_wrap=True)


def _print_strongest(console: Console, explanation: Explanation) -> None:
    """The largest scores in figures, if colours are not shown."""
    if not console.is_terminal or console.no_color:
        strongest = np.argsort(-np.abs(explanation.scores), kind="stable")[:MOST_TOKENS]
        console.print(f"Strongest: {', '.join(_scored(explanation, int(at)) for at in strongest)}", soft_wrap=True)


def _scored(explanation: Explanation, at: int) -> str:
    score = f"{explanation.scores[at]:+.3g}"
    if explanation.steps is not explanation.tokens:
        return f"step {at + 1} {score}"
    return f"{visible(explanation.tokens[at])} {score} ({'token' if explanation.is_text else 'step'} {at + 1})"
