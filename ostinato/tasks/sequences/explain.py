"""Explain rows of tasks with one target per sequence."""

from collections.abc import Callable, Sequence
from typing import Any

from ostinato.data.examples import Record
from ostinato.explanation.attribution import explain_sequences
from ostinato.explanation.explanation import Explanation
from ostinato.explanation.records import ExplainedRows, Truth, measure_rows
from ostinato.progress import Progress
from ostinato.tasks.records import Model


def explain_rows(
    model: Model,
    rows: Sequence[Record],
    truth: Callable[[Any, Any], Truth],
    *,
    method: str,
    label: str | None = None,
    tokens: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> ExplainedRows:
    """Explain the answers to records, and measure how faithful the explanations are; see `Task.explain_rows`.

    Args:
        truth: compares the target of a record with the explained label.
    """
    sources = [row.source for row in rows]
    explanations = explain_sequences(
        model,
        [row.sequence for row in rows],
        method=method,
        label=None if label is None else {str(name): name for name in model.codec.names}.get(label, label),
        sources=sources,
        progress=progress,
        tokens=tokens,
    )

    def truth_of(explanation: Explanation) -> Truth | None:
        target = rows[explanation.row].target
        return None if target is None else truth(target, explanation.label)

    return measure_rows(model, explanations, sources, truth_of, progress=progress)
