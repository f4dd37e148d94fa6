"""The records of a file, explained: each with its place, its true label where it is known, and what masking does to its answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ostinato.data.examples import Record
from ostinato.errors import ConfigError, DataError, suggest
from ostinato.estimators import SequenceClassifier
from ostinato.explanation.attribution import Explanation, explain
from ostinato.explanation.faithfulness import Faithfulness, measure
from ostinato.progress import Progress


@dataclass(frozen=True)
class ExplainedRecords:
    """Records, their explanations in the same order, and how far these can be believed."""

    records: list[Record]
    explanations: list[Explanation]
    faithfulness: Faithfulness

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        rows = []
        for row, (record, explanation) in enumerate(zip(self.records, self.explanations, strict=True)):
            true = {} if record.label is None else {"true_label": record.label}
            measured = {
                "comprehensiveness": self.faithfulness.comprehensiveness,
                "sufficiency": self.faithfulness.sufficiency,
            }
            figures = {name: round(float(figure.each[row]), 6) for name, figure in measured.items()}
            rows.append({"place": record.place, **true, **explanation.to_dict(), **figures})
        return {"explanations": rows, "faithfulness": self.faithfulness.to_dict()}


def explain_records(
    model: SequenceClassifier,
    records: Sequence[Record],
    *,
    method: str,
    label: str | None = None,
    progress: Progress | None = None,
) -> ExplainedRecords:
    """Explain records and mask what the explanations rank first.

    Args:
        label: the class to explain, as text; by default each record's answer.

    Raises:
        ConfigError: a method or label that the model does not have.
        DataError: there is no record, or one that the model cannot read, named by its place.
    """
    if not records:
        raise DataError("There is no sequence: nothing to explain. Give at least one.")
    labels = {str(each): each for each in model.encoder_.labels}
    if label is not None and label not in labels:
        raise ConfigError(
            f"label {label!r} is none of the model's. {suggest(label, labels)}Choose from: {', '.join(labels)}."
        )
    explanations = explain(
        model,
        [record.sequence for record in records],
        method=method,
        label=None if label is None else labels[label],
        places=[record.place for record in records],
        progress=progress,
    )
    return ExplainedRecords(list(records), explanations, measure(model, explanations, progress=progress))
