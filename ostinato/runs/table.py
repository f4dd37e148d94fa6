"""Finished runs as a table in the terminal, each model beside its baselines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ostinato.report.terminal import print_table
from ostinato.tasks import TASKS


def print_results(results: Sequence[tuple[Path, dict[str, Any]]]) -> None:
    """Print which models fall short, then one line per run, in one table per task."""
    print_shortfalls(results)
    print_table_of(results)


def print_shortfalls(results: Sequence[tuple[Path, dict[str, Any]]]) -> None:
    """Print a sentence for each model that does not beat its simplest baseline."""
    for _, metrics in results:
        sentence = TASKS[metrics["task"]].shortfall(metrics) if "test" in metrics else None
        if sentence is not None:
            print(sentence)


def print_table_of(results: Sequence[tuple[Path, dict[str, Any]]]) -> None:
    """Print one line per run, in one table per task."""
    for name, task in TASKS.items():
        chosen = [(folder, metrics) for folder, metrics in results if metrics["task"] == name]
        cells = [task.result_cells(metrics) if "test" in metrics else {} for _, metrics in chosen]
        headings = list(dict.fromkeys(heading for each in cells for heading in each)) or ["test"]
        rows = [_row(*result, each, headings) for result, each in zip(chosen, cells, strict=True)]
        if rows:
            print_table(("data", "model", *headings, "seconds", "run folder"), rows)


def _row(folder: Path, metrics: dict[str, Any], cells: dict[str, str], headings: Sequence[str]) -> tuple[str, ...]:
    model, seconds = metrics["model"], metrics["training"]["seconds"]
    scores = (
        [cells.get(heading, "") for heading in headings] if cells else ["no test split", *[""] * (len(headings) - 1)]
    )
    kind = "linear" if model["cell"] == "none" else model["cell"]
    described = f"{kind}, {model['parameters']:,} weights"
    return (metrics["data"]["name"], described, *scores, f"{seconds:.1f}", str(folder))
