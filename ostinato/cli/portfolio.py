"""`train FILE`: compare models on a data file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ostinato.cli.arguments import new_folder
from ostinato.cli.streams import INTERRUPTED, say

if TYPE_CHECKING:
    from ostinato.runs.leaderboard import Leaderboard
    from ostinato.tasks.records import Inferred

DEFAULT_MINUTES = 10


def is_search(folder: Path) -> bool:
    """Whether a folder was made by `train FILE`. Imports nothing heavy."""
    return (folder / "portfolio.json").exists()


def train_on_file(
    file: str | None, settings: list[str], out: Path | None, resume: Path | None, minutes: float | None
) -> tuple[Path, dict[str, Any]]:
    """Compare models on a file, or continue in the folder `resume`; returns the run folder and its metrics."""
    from ostinato.progress import Progress

    progress, folder = Progress(), resume
    try:
        if resume is not None:
            from ostinato.portfolio import resume_search

            return resume, resume_search(resume, minutes=minutes, progress=progress)
        path = Path(str(file))
        with progress.reading([str(path)]):
            inferred = _inferred(path, settings)
        from ostinato.portfolio import train_file

        folder = new_folder(out, path.stem)
        limit = DEFAULT_MINUTES if minutes is None else minutes
        return folder, train_file(
            path, minutes=limit, folder=folder, settings=settings, inferred=inferred, progress=progress
        )
    except KeyboardInterrupt:
        _say_what_is_saved(folder, progress.say)
        raise typer.Exit(INTERRUPTED) from None


def _inferred(path: Path, settings: list[str]) -> "Inferred":
    """The config for a file. A wrong setting is refused here, before PyTorch is imported."""
    from ostinato.tasks.config import override
    from ostinato.tasks.infer import infer_config

    inferred = infer_config(path, settings)
    override(inferred.config, settings)
    return inferred


def _say_what_is_saved(folder: Path | None, tell: Any) -> None:
    """After Ctrl-C: what the folder contains, and how to go on."""
    if folder is None or not is_search(folder):
        tell("Stopped before training began.")
        return
    from ostinato.runs import is_complete
    from ostinato.runs.folder import CONFIG, resume_command

    if (folder / CONFIG).exists() and is_complete(folder):
        best = leaderboard_of(folder).winner
        tell(f"Stopped. {folder} contains the best model so far, {best}. Go on with: {resume_command(folder)}")
    else:
        tell(f"Stopped. Continue with: {resume_command(folder)}")


def leaderboard_of(folder: Path) -> "Leaderboard":
    """The candidates of a run."""
    from ostinato.runs.leaderboard import LEADERBOARD, Leaderboard

    return Leaderboard.read(folder / LEADERBOARD)


def show_search(folder: Path, metrics: dict[str, Any]) -> None:
    """Print what matters first, then the candidates, then the results of the chosen one."""
    from ostinato.report.terminal import print_table
    from ostinato.runs.folder import resume_command
    from ostinato.runs.table import print_shortfalls, print_table_of
    from ostinato.tasks import TASKS

    found = leaderboard_of(folder)
    print_shortfalls([(folder, metrics)])
    if found.sentence is not None:
        say(found.sentence)
    print_table(found.headings(), found.rows(TASKS[metrics["task"]].metrics[found.metric]))
    say("")
    print_table_of([(folder, metrics)])
    say(f"Compare for longer with: {resume_command(folder)} --minutes {DEFAULT_MINUTES}")
