"""The report of a run: its page, its model card, and the pictures as files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ostinato.errors import RunError
from ostinato.progress import Progress
from ostinato.report.card import CardSection, card_markdown
from ostinato.report.page import Section, paragraph, render
from ostinato.report.record import Report, RunRecord
from ostinato.report.sections import record_sections
from ostinato.runs.finished import finished_metrics
from ostinato.runs.folder import resume_command
from ostinato.runs.json_model import JsonModel
from ostinato.runs.leaderboard import leaderboard_sections
from ostinato.runs.scoring import refuse_other_data
from ostinato.storage import make_subfolder, read_json, refuse_altered, unusable, write_atomically
from ostinato.storage.lock import locked
from ostinato.tasks import TASKS
from ostinato.tasks.config import parse_toml
from ostinato.tasks.model_file import load_model
from ostinato.tasks.records import TaskData

CARD = "model_card.md"


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
    model = load_model(folder)
    data: TaskData | None = None if run.predictions is None else task.prepare(run.config.data)
    if data is not None:
        refuse_other_data(model, folder, data.rows["test"])
    with locked(folder):
        report = task.report(run, data, model, progress or Progress(quiet=True))
        return _write(run, report, task.card(run, model))


def _write(run: RunRecord, report: Report, card: Sequence[CardSection]) -> Path:
    """Write the page, the model card and the pictures; returns the page's path."""
    for name, content in report.files.items():
        write_atomically(run.folder / name, content)
    make_subfolder(run.folder / "figures")
    report.gallery.save(run.folder / "figures")
    result, *others = report.sections
    shortfall = TASKS[run.config.task].shortfall(run.metrics) if "test" in run.metrics else None
    if shortfall is not None:
        result = result._replace(body=paragraph(shortfall) + result.body)
    candidates = leaderboard_sections(run.folder, TASKS[run.config.task].metrics)
    sections: list[Section] = [result, *candidates, *others, *record_sections(run, card)]
    page, card_file = run.folder / "report.html", run.folder / CARD
    write_atomically(page, render(f"Report of {run.name}", sections))
    if not card_file.exists():
        write_atomically(card_file, card_text(run, card))
    return page


def card_text(run: RunRecord, card: Sequence[CardSection]) -> str:
    """The content of a run's `model_card.md` before its author completes it."""
    return card_markdown(f"Model card of {run.name}", card)


class EnvironmentFile(JsonModel):
    """The fields of environment.json that a report reads."""

    created: str
    ostinato: str
    device: str
    packages: dict[str, str | None]


class HistoryEntry(JsonModel):
    """The fields that every line of metrics.jsonl has."""

    epoch: int
    train_loss: float


def read_run(folder: Path) -> RunRecord:
    """Read the files of a finished run.

    Raises:
        RunError: there is no run at that path, it is not finished, or a file of it is missing or altered.
        ConfigError: its config was altered and has problems.
    """
    metrics = finished_metrics(folder)
    if metrics is None:
        raise RunError(f"{folder}: the run is not finished. Finish it with: {resume_command(folder)}")
    config_text = _text(folder / "config.toml")
    config = parse_toml(config_text, str(folder / "config.toml"))
    task = TASKS[config.task]
    test = metrics.get("test")
    predictions = folder / task.predictions_file
    for path in (predictions, folder / "metrics.jsonl", folder / "audit.json"):
        refuse_altered(path)
    environment = read_json(folder / "environment.json")
    EnvironmentFile.from_json(environment, str(folder / "environment.json"))
    return RunRecord(
        folder=folder,
        config=config,
        config_text=config_text,
        environment=environment,
        history=_history(folder / "metrics.jsonl", metrics),
        metrics=metrics,
        audit=read_json(folder / "audit.json"),
        predictions=None if test is None else task.read_predictions(predictions, test),
    )


def _history(path: Path, metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, one for each epoch; epoch 0 comes first if training started from a fitted model.

    An ensemble has none.
    """
    epochs = metrics["training"]["epochs"]
    try:
        entries = [json.loads(line) for line in _text(path).splitlines()]
    except (ValueError, RecursionError):
        raise unusable(path) from None
    for number, entry in enumerate(entries, 1):
        HistoryEntry.from_json(entry, f"{path}, line {number}")
    trained = sum(entry["epoch"] > 0 for entry in entries)
    if trained != epochs or not (entries or "ensemble" in metrics):
        raise RunError(f"{path}: has {trained} epochs, expected {epochs}. Copy it again.")
    return entries


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise unusable(path) from None
