"""Explained rows of a file: each with its source, its true target if known, and the effect of masking."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ostinato.explanation.explanation import Explanation
from ostinato.explanation.faithfulness import Faithfulness, measure
from ostinato.progress import Progress
from ostinato.storage import FORMAT


class Truth(NamedTuple):
    """The true target of an explained answer.

    Args:
        text: the class, labels, tag or number.
        is_correct: whether the explained label is the true one, or one of them; None for numbers.
    """

    text: str
    is_correct: bool | None


@dataclass(frozen=True)
class ExplainedRow:
    """One explanation of a row.

    Args:
        source: where the row comes from, as `reviews.csv, row 17`.
        truth: the true target; None if not known.
        masking: the effect of masking on the answer, in words.
    """

    source: str
    truth: Truth | None
    explanation: Explanation
    masking: str

    @property
    def comparison(self) -> str:
        """The true target beside the explained answer, in words; empty if it is not known."""
        if self.truth is None:
            return ""
        if self.truth.is_correct is None:
            return f"true value {self.truth.text}"
        return "correct" if self.truth.is_correct else f"it is {self.truth.text}"


@dataclass(frozen=True)
class ExplainedRows:
    """Explanations of the rows of a file.

    Args:
        rows: one for each explanation; a sentence may have several.
        unexplained: the sources of rows without an explanation: sentences in which no entity was found.
        faithfulness: how faithful the explanations are; None if there are none.
    """

    rows: list[ExplainedRow]
    unexplained: list[str]
    faithfulness: Faithfulness | None

    def to_json(self) -> dict[str, Any]:
        """All rows and their faithfulness as JSON values: the content of explanations.json.

        `format` is the format of Ostinato's files. Each row has its `source`; `true_label`, `true_tag` or `true_value`
        if known; the explanation; and its `comprehensiveness` and `sufficiency`, if a step can be masked.
        """
        rows = [
            {"source": each.source, **_target(each), **each.explanation.to_json(), **self._measured(row)}
            for row, each in enumerate(self.rows)
        ]
        faithfulness = None if self.faithfulness is None else self.faithfulness.to_json()
        return {"format": FORMAT, "explanations": rows, "unexplained": self.unexplained, "faithfulness": faithfulness}

    def _measured(self, row: int) -> dict[str, float]:
        assert self.faithfulness is not None
        names = ("comprehensiveness", "sufficiency")
        figures = {name: float(getattr(self.faithfulness, name).each[row]) for name in names}
        return {name: round(figure, 6) for name, figure in figures.items() if figure == figure}  # NaN: nothing to mask


def measure_rows(
    model: Any,
    explanations: Sequence[Explanation],
    sources: Sequence[str],
    truth_of: Callable[[Explanation], Truth | None],
    *,
    progress: Progress | None = None,
) -> ExplainedRows:
    """Explanations with their sources and targets, and how faithful they are.

    Args:
        model: the trained model that was explained.
        explanations: of one method.
        sources: of each row that was given; an explanation's `row` is an index into it.
        truth_of: the true target of an explanation; None if not known.
        progress: where to show progress.

    Raises:
        DataError: an explanation is not one of this model.
    """
    measured = measure(model, explanations, progress=progress) if explanations else None
    rows = [
        ExplainedRow(sources[each.row], truth_of(each), each, "" if measured is None else measured.masking(number))
        for number, each in enumerate(explanations)
    ]
    explained = {each.row for each in explanations}
    return ExplainedRows(rows, [source for row, source in enumerate(sources) if row not in explained], measured)


def _target(row: ExplainedRow) -> dict[str, str]:
    if row.truth is None:
        return {}
    kind = "tag" if row.explanation.token is not None else "label"
    return {f"true_{'value' if row.explanation.quantity == 'prediction' else kind}": row.truth.text}
