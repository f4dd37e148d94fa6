"""The members of an ensemble: what metrics.json records of them, as a table and as a section of the report."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ostinato.evaluation.results import Scores
from ostinato.report.page import Section, paragraph, table
from ostinato.report.wording import capitalized, counted, metric_name
from ostinato.storage import METRICS, unusable

if TYPE_CHECKING:
    from ostinato.report.record import RunRecord


class MemberRecord(Scores):
    """A member of an ensemble.

    Args:
        run: its run folder.
        cell: its recurrence.
        tokenizer: what it reads.
        weight: of its answers in the mean.
        parameters: the number of its weights.
        mib: their size in memory, in MiB.
        ms_per_row: milliseconds to encode and answer a row of `split`, in batches.
        scores: of its own answers on `split`.
    """

    run: str
    cell: str
    tokenizer: str
    weight: float
    parameters: int
    mib: float
    ms_per_row: float
    scores: dict[str, float]


class EnsembleRecord(Scores):
    """The field `ensemble` of metrics.json.

    Args:
        weights: `equal`, or `validation`: fitted on the validation split.
        split: the split that the scores are from: `test`, or `validation` if there is no test split.
        scores: of the ensemble, as those of its members.
        agreement: how much the answers of each two members agree, a row per member.
        members: in the order in which they were given.
    """

    weights: str
    split: str
    scores: dict[str, float]
    agreement: list[list[float]]
    members: list[MemberRecord]

    @classmethod
    def of(cls, folder: Path, metrics: dict[str, Any]) -> "EnsembleRecord":
        """Read the record of a finished run.

        Raises:
            RunError: it is damaged.
        """
        try:
            return cls.model_validate(metrics["ensemble"])
        except ValidationError:
            raise unusable(folder / METRICS) from None

    def headings(self) -> tuple[str, ...]:
        """The headings of `rows`."""
        scores = (f"{self.split} {metric_name(name)}" for name in self.scores)
        return ("member", "cell", "tokens", "weight", *scores, "parameters", "MiB", "ms per row")

    def rows(self) -> list[tuple[str, ...]]:
        """A row of cells for each member, then one for the ensemble."""
        total = [sum(getattr(each, name) for each in self.members) for name in ("parameters", "mib", "ms_per_row")]
        return [
            *(
                (
                    each.run,
                    each.cell,
                    each.tokenizer,
                    f"{each.weight:.3f}",
                    *self._cells(each.scores),
                    *_sizes(each.parameters, each.mib, each.ms_per_row),
                )
                for each in self.members
            ),
            ("ensemble", "", "", "1", *self._cells(self.scores), *_sizes(*total)),
        ]

    def _cells(self, scores: dict[str, float]) -> list[str]:
        return [f"{scores[name]:.4f}" if name in scores else "–" for name in self.scores]


def _sizes(parameters: float, mib: float, ms_per_row: float) -> tuple[str, str, str]:
    return f"{parameters:,.0f}", f"{mib:,.2f}", f"{ms_per_row:.3g}"


def members_section(run: "RunRecord", *, description: str) -> Section:
    """The members side by side with the ensemble, and how much they agree.

    Args:
        description: model and task, in sentences.
    """
    record = EnsembleRecord.of(run.folder, run.metrics)
    fitted = "fitted on the validation split" if record.weights == "validation" else "equal"
    body = paragraph(f"{description} The weights of the members are {fitted}.")
    headings = record.headings()
    body += table(headings, record.rows(), numeric=range(3, len(headings)))
    body += paragraph(
        f"Agreement of the answers on the {record.split} split, between each two members. The less they agree at equal "
        "quality, the more their mean gains."
    )
    names = [str(number) for number in range(1, len(record.members) + 1)]
    rows = [
        (f"{number}: {each.run}", *(f"{value:.3f}" for value in values))
        for number, each, values in zip(names, record.members, record.agreement, strict=True)
    ]
    body += table(("member", *names), rows, numeric=range(1, len(names) + 1))
    training = run.metrics["training"]
    body += paragraph(f"{capitalized(counted(len(names), 'training'))} took {training['seconds']:,.1f} s together.")
    return Section("Members", "training", body)
