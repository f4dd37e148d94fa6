"""Explanations and traces as a person reads them in a terminal."""

import numpy as np
from rich.console import Console

from ostinato.explanation.attribution import Explanation
from ostinato.explanation.markup import explanation_text
from ostinato.explanation.records import ExplainedRecords
from ostinato.explanation.trace import Trace
from ostinato.explanation.trace_text import trace_lines, visible

MOST_TOKENS = 8  # named where colours cannot be seen


def print_explained(explained: ExplainedRecords) -> None:
    """Each record's answer and its coloured sequence, and how far to believe them."""
    console = Console(markup=False, emoji=False, highlight=False)
    for row, (record, explanation) in enumerate(zip(explained.records, explained.explanations, strict=True)):
        true = "" if record.label is None else " (right)" if record.label == str(explanation.label) else f" (it is {record.label})"
        console.print(f"{record.place}: {explanation.label} {explanation.probability:.3f}{true}", style="bold", soft_wrap=True)
        console.print(explanation_text(explanation), soft_wrap=True)
        if not console.is_terminal or console.no_color:  # the colours are lost: the scores in figures
            strongest = np.argsort(-np.abs(explanation.scores), kind="stable")[:MOST_TOKENS]
            console.print(f"Strongest: {', '.join(_scored(explanation, int(at)) for at in strongest)}", soft_wrap=True)
        console.print(f"{explained.faithfulness.masking(row)}\n", style="dim", soft_wrap=True)
    console.print(explained.faithfulness.sentence, soft_wrap=True)


def _scored(explanation: Explanation, at: int) -> str:
    score = f"{explanation.scores[at]:+.3g}"
    if explanation.steps is not explanation.tokens:
        return f"step {at + 1} {score}"
    return f"{visible(explanation.tokens[at])} {score} ({'token' if explanation.is_text else 'step'} {at + 1})"


def print_trace(trace: Trace) -> None:
    """A line a step."""
    console = Console(markup=False, emoji=False, highlight=False)
    console.print(trace_lines(trace, console.width), soft_wrap=True)
