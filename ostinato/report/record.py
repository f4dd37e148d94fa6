"""A finished run as it was recorded, and a task's part of its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ostinato.config import Config
from ostinato.report.card import CardSection
from ostinato.report.page import Section
from ostinato.storage import unusable

if TYPE_CHECKING:
    from ostinato.report.gallery import Gallery

Audit = TypeVar("Audit")


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


@dataclass(frozen=True)
class Report:
    """A task's part of a run's report.

    Args:
        sections: results and explanations, in order.
        card: the model card.
        gallery: the pictures in the sections.
        files: further files for the run's folder, by name.
    """

    sections: Sequence[Section]
    card: Sequence[CardSection]
    gallery: "Gallery"
    files: Mapping[str, str] = field(default_factory=dict)
