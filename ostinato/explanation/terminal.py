"""Explanations and traces as a person reads them in a terminal."""

import numpy as np
from rich.console import Console

from ostinato.explanation.markup import Coloured, explanation_text
from ostinato.explanation.records import ExplainedRecords
from ostinato.explanation.tag_records import ExplainedTags
from ostinato.explanation.trace import Trace
from ostinato.explanation.trace_text import trace_lines, visible

MOST_TOKENS = 8  # named where colours cannot be seen


def print_explained(explained: ExplainedRecords) -> None:
    """Each record's answer and its coloured sequence, and how far to believe them."""
    console = Console(markup=False, emoji=False, highlight=False)
    for row, (record, explanation) in enumerate(zip(explained.records, explained.explanations, strict=True)):
        true = (
            ""
            if record.label is None
            else " (right)"
            if record.label == str(explanation.label)
            else f" (it is {record.label})"
        )
        console.print(
            f"{record.place}: {explanation.label} {explanation.probability:.3f}{true}", style="bold", soft_wrap=True
        )
        console.print(explanation_text(explanation), soft_wrap=True)
        _print_strongest(console, explanation)
        console.print(f"{explained.faithfulness.masking(row)}\n", style="dim", soft_wrap=True)
    console.print(explained.faithfulness.sentence, soft_wrap=True)


def print_explained_tags(explained: ExplainedTags) -> None:
    """Each explained tag and its sentence, coloured, the word that bears it underlined; and how far to believe them."""
    console = Console(markup=False, emoji=False, highlight=False)
    for each in explained.tags:
        explanation = each.explanation
        true = "" if each.true is None else " (right)" if each.true == explanation.tag else f" (it is {each.true})"
        told = f"{each.place}: {visible(explanation.label)} {explanation.probability:.3f} by {explanation.method}{true}"
        console.print(told, style="bold", soft_wrap=True)
        text = explanation_text(explanation)
        text.stylize("bold underline", *explanation.offsets[explanation.token])
        console.print(text, soft_wrap=True)
        _print_strongest(console, explanation)
        console.print(f"{each.masking}\n", style="dim", soft_wrap=True)
    for sentence in explained.without:
        console.print(
            f"{sentence.place}: no entity found, so nothing to explain. Name a word: --token N", soft_wrap=True
        )
    if explained.faithfulness is not None:
        console.print(explained.faithfulness.sentence, soft_wrap=True)


def _print_strongest(console: Console, explanation: Coloured) -> None:
    """The scores in figures where colours are lost."""
    if not console.is_terminal or console.no_color:
        strongest = np.argsort(-np.abs(explanation.scores), kind="stable")[:MOST_TOKENS]
        console.print(f"Strongest: {', '.join(_scored(explanation, int(at)) for at in strongest)}", soft_wrap=True)


def _scored(explanation: Coloured, at: int) -> str:
    score = f"{explanation.scores[at]:+.3g}"
    if explanation.steps is not explanation.tokens:
        return f"step {at + 1} {score}"
    return f"{visible(explanation.tokens[at])} {score} ({'token' if explanation.is_text else 'step'} {at + 1})"


def print_trace(trace: Trace) -> None:
    """A line a step."""
    console = Console(markup=False, emoji=False, highlight=False)
    console.print(trace_lines(trace, console.width), soft_wrap=True)
