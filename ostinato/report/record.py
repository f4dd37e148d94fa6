"""A finished run as it was recorded, and a task's part of its report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ostinato.config import Config
from ostinato.errors import RunError
from ostinato.evaluation.results import Metrics
from ostinato.report.page import Section
from ostinato.report.wording import model_name
from ostinato.storage import unusable

if TYPE_CHECKING:
    from ostinato.report.gallery import Gallery

Audit = TypeVar("Audit")
SomeMetrics = TypeVar("SomeMetrics", bound=Metrics)


@dataclass(frozen=True)
class RunRecord:
    """The files of a finished run of any task.

    Args:
        audit: the content of audit.json.
        predictions: the answers to the test split as the task reads them; None without a test split.
    """

    folder: Path
    config: Config
    config_text: str
    environment: dict[str, Any]
    history: list[dict[str, Any]]
    metrics: dict[str, Any]
    audit: dict[str, Any]
    predictions: Any

    @property
    def name(self) -> str:
        """The folder's name, without its parents."""
        return self.folder.resolve().name

    @property
    def model_name(self) -> str:
        """What sentences call the model, such as `GRU` or `ensemble`."""
        return "ensemble" if "ensemble" in self.metrics else model_name(self.config.model)

    def read_audit(self, kind: type[Audit], content: dict[str, Any]) -> Audit:
        """The run's audit as a dataclass.

        Args:
            content: `audit`, with the keys of earlier versions renamed.

        Raises:
            RunError: a field is missing or has the wrong type.
        """
        try:
            return TypeAdapter(kind).validate_python(content)
        except ValidationError:
            raise unusable(self.folder / "audit.json") from None

    def read_scores(self, kind: type[SomeMetrics], baselines: Iterable[str]) -> dict[str, SomeMetrics]:
        """The metrics of the splits, with the keys `validation` and `test`, and of each baseline on the test split.

        Args:
            kind: the task's metrics.
            baselines: the names of the task's baselines.

        Raises:
            RunError: a field or a baseline is missing, or has the wrong type.
        """
        path = self.folder / "metrics.json"
        found = {name: self.metrics[name] for name in ("validation", "test") if name in self.metrics}
        if "test" in found:
            recorded = self.metrics.get("baselines", {})
            missing = [name for name in baselines if name not in recorded]
            if missing:
                raise RunError(f"{path}: the baseline {missing[0]} is missing. Copy the file again, or train again.")
            found |= recorded
        try:
            return {name: kind.from_json(values) for name, values in found.items()}
        except RunError as error:
            raise RunError(f"{path}: {error}") from None


@dataclass(frozen=True)
class Report:
    """A task's part of a run's report.

    Args:
        sections: results and explanations, in order.
        gallery: the pictures in the sections.
        files: further files for the run's folder, by name.
    """

    sections: Sequence[Section]
    gallery: "Gallery"
    files: Mapping[str, str] = field(default_factory=dict)
