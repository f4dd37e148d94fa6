"""The report of a run: its page, its model card, and the pictures as files."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ostinato.errors import RunError
from ostinato.progress import Progress
from ostinato.report.card import card_markdown
from ostinato.report.page import Section, paragraph, render
from ostinato.report.record import RunRecord
from ostinato.report.sections import record_sections
from ostinato.runs.folder import finished_metrics
from ostinato.storage import unusable, write_atomically
from ostinato.tasks import TASKS
from ostinato.tasks.base import TaskData
from ostinato.tasks.config import parse_toml
from ostinato.tasks.model_file import load_model


def report_run(folder: Path, *, progress: Progress | None = None) -> Path:
    """Write `report.html`, `model_card.md`, the pictures in `figures/` and the task's own files into a run's folder.

    A model card that is there already stays as it is: its author may have filled it in.

    Returns:
        The page's path.

    Raises:
        RunError: the run is not finished or was altered, the test split has changed, or a file cannot be written.
        MissingExtraError: a package of the extra `explain` is not installed.
    """
    run = read_run(folder)
    task = TASKS[run.config.task]
    data: TaskData | None = None if run.predictions is None else task.prepare(run.config.data)
    report = task.report(run, data, load_model(folder), progress or Progress(quiet=True))
    for name, content in report.files.items():
        write_atomically(folder / name, content)
    report.gallery.save(folder / "figures")
    result, *others = report.sections
    shortfall = task.shortfall(run.metrics) if "test" in run.metrics else None
    if shortfall is not None:
        result = result._replace(body=paragraph(shortfall) + result.body)
    sections: list[Section] = [result, *others, *record_sections(run, report.card)]
    page, card = folder / "report.html", folder / "model_card.md"
    write_atomically(page, render(f"Report of {run.name}", sections))
    if not card.exists():
        write_atomically(card, card_markdown(f"Model card of {run.name}", report.card))
    return page


def read_run(folder: Path) -> RunRecord:
    """Read the files of a finished run.

    Raises:
        RunError: there is no run at that path, it is not finished, or a file of it is missing or altered.
        ConfigError: its config was altered and has problems.
    """
    metrics = finished_metrics(folder)
    if metrics is None:
        raise RunError(f"{folder}: the run is not finished. Finish it with: ostinato train --resume {folder}")
    config_text = (folder / "config.toml").read_text(encoding="utf-8")
    config = parse_toml(config_text, str(folder / "config.toml"))
    task = TASKS[config.task]
    test = metrics.get("test")
    objects = TypeAdapter(dict[str, Any])
    return RunRecord(
        folder=folder,
        config=config,
        config_text=config_text,
        environment=_read(folder / "environment.json", objects),
        history=_read(folder / "metrics.jsonl", TypeAdapter(list[dict[str, Any]]), lines=True),
        metrics=metrics,
        audit=_read(folder / "audit.json", objects),
        predictions=None if test is None else task.read_predictions(folder / task.predictions_file, test),
    )


def _read(path: Path, kind: TypeAdapter[Any], *, lines: bool = False) -> Any:
    """A JSON file, or one of JSON lines as a list, checked against what it should hold."""
    try:
        content = path.read_bytes()
        return kind.validate_json(b"[" + b",".join(content.splitlines()) + b"]" if lines else content)
    except (OSError, ValidationError):
        raise unusable(path) from None
