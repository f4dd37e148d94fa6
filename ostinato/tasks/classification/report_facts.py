"""What a finished run's folder says of itself, as plain data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ostinato.config import Config, parse_toml
from ostinato.data.audit import Audit
from ostinato.errors import RunError
from ostinato.runs import finished_metrics
from ostinato.scoring import Predictions, read_predictions, unusable

Content = TypeVar("Content")


@dataclass(frozen=True)
class RunRecord:
    """What the run of any task keeps."""

    folder: Path
    config: Config
    config_text: str
    environment: dict[str, Any]
    history: list[dict[str, Any]]
    metrics: dict[str, Any]

    @property
    def name(self) -> str:
        """The folder's own name, wherever it lies."""
        return self.folder.resolve().name


@dataclass(frozen=True)
class RunFacts(RunRecord):
    """All that a report says of a classifier's run; `predictions` is None where the run has no test split."""

    audit: Audit
    tokenizer: str
    labels: list[str]
    predictions: Predictions | None

    @property
    def findings(self) -> list[str]:
        """What the audit noted of the data, beyond their numbers of rows and lengths."""
        return self.audit.lines()[len(self.audit.splits) + 2 :]


def collect_run(folder: Path) -> RunFacts:
    """Read a classifier's finished run.

    Raises:
        RunError: there is no run at that place, it is not finished, or a file of it is missing or altered.
        ConfigError: its config was altered and is at fault.
    """
    record = collect_record(folder)
    vocabulary = read_part(folder / "vocabulary.json", TypeAdapter(dict[str, Any]))
    labels = list(map(str, vocabulary["labels"]))
    return RunFacts(
        **vars(record),
        audit=read_part(folder / "audit.json", TypeAdapter(Audit)),
        tokenizer=vocabulary["tokenizer"],
        labels=labels,
        predictions=read_predictions(folder / "predictions.parquet", labels) if "test" in record.metrics else None,
    )


def collect_record(folder: Path) -> RunRecord:
    """Read what a finished run of any task keeps; raises as `collect_run`."""
    metrics = finished_metrics(folder)
    if metrics is None:
        raise RunError(f"{folder}: the run is not finished. Finish it with: ostinato train --resume {folder}")
    config_text = (folder / "config.toml").read_text(encoding="utf-8")
    return RunRecord(
        folder=folder,
        config=parse_toml(config_text, str(folder / "config.toml")),
        config_text=config_text,
        environment=read_part(folder / "environment.json", TypeAdapter(dict[str, Any])),
        history=read_part(folder / "metrics.jsonl", TypeAdapter(list[dict[str, Any]]), lines=True),
        metrics=metrics,
    )


def read_part(path: Path, kind: TypeAdapter[Content], *, lines: bool = False) -> Content:
    """A JSON file, or one of JSON lines as a list, checked against what it should hold."""
    try:
        content = path.read_bytes()
        return kind.validate_json(b"[" + b",".join(content.splitlines()) + b"]" if lines else content)
    except (OSError, ValidationError):
        raise unusable(path) from None
