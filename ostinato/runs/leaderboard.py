"""The models that `ostinato train FILE` compared: leaderboard.json in a run folder, as a table and in its report."""

from collections.abc import Mapping
from pathlib import Path

from ostinato.evaluation.results import Metric
from ostinato.report.page import Section, paragraph, table
from ostinato.report.wording import metric_name
from ostinato.runs.json_model import JsonModel
from ostinato.storage import unusable

LEADERBOARD = "leaderboard.json"
LINEAR_WON = (
    "A linear model won: no other model is clearly better on the validation split. It is saved, and it is what "
    "predicts."
)


class Entry(JsonModel):
    """One candidate.

    Args:
        name: of the candidate.
        reason: why it was tried.
        is_linear: whether it is a linear model.
        score: its best validation score; None if it has none.
        interval: 95 % interval of the score.
        epochs: that the training with this score took; 0 without a score.
        seconds: of all of its trainings.
        parameters: the number of trained weights; None without a score.
        problem: why it has no score: its training failed, or was too slow.
    """

    name: str
    reason: str
    is_linear: bool
    score: float | None
    interval: tuple[float, float] | None
    epochs: int
    seconds: float
    parameters: int | None
    problem: str | None


class Leaderboard(JsonModel):
    """The candidates of a search.

    Args:
        format: the version of the file format.
        metric: the validation metric that decides.
        winner: the name of the candidate that the run contains; None before one has a score.
        finished: whether the search has reached its end.
        entries: the best first.
    """

    format: int
    metric: str
    winner: str | None
    finished: bool
    entries: list[Entry]

    @property
    def sentence(self) -> str | None:
        """Says so if a linear model won."""
        won = next((each for each in self.entries if each.name == self.winner), None)
        return LINEAR_WON if won is not None and won.is_linear else None

    def headings(self) -> tuple[str, ...]:
        """The headings of `rows`."""
        score = f"validation {metric_name(self.metric)}"
        return ("candidate", score, "95 % interval", "epochs", "seconds", "weights", "why")

    def rows(self, metric: Metric) -> list[tuple[str, ...]]:
        """One row of cells per candidate; the winner is marked."""
        return [self._cells(each, metric) for each in self.entries]

    def _cells(self, each: Entry, metric: Metric) -> tuple[str, ...]:
        name = f"{each.name} (chosen)" if each.name == self.winner else each.name
        if each.score is None:
            return (name, "", "", "", f"{each.seconds:.1f}", "", each.problem or "not tried: no time left")
        low_high = "" if each.interval is None else " – ".join(map(metric.text, each.interval))
        numbers = (str(each.epochs), f"{each.seconds:.1f}", f"{each.parameters or 0:,}")
        return (name, metric.text(each.score), low_high, *numbers, each.reason)


def leaderboard_sections(folder: Path, metrics: Mapping[str, Metric]) -> list[Section]:
    """The section of a run's report; none for runs without candidates.

    Args:
        metrics: of the run's task, by name.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / LEADERBOARD
    if not path.exists():
        return []
    found = Leaderboard.read(path)
    if found.metric not in metrics:
        raise unusable(path)
    text = (
        f"These models were compared on the validation split by {metric_name(found.metric)}. If several are equal "
        "within noise, the simplest is chosen. The best of many looks too good on validation; its test scores do not."
    )
    body = paragraph(text) if found.sentence is None else paragraph(found.sentence) + paragraph(text)
    body += table(found.headings(), found.rows(metrics[found.metric]), numeric=(1, 3, 4, 5))
    return [Section("Candidates", "candidates", body)]
