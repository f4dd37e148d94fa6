"""`train FILE`: compare models on a data file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ostinato.cli.arguments import new_folder
from ostinato.cli.streams import say

if TYPE_CHECKING:
    from ostinato.runs.leaderboard import Leaderboard

DEFAULT_MINUTES = 10


def is_search(folder: Path) -> bool:
    """Whether a folder was made by `train FILE`. Imports nothing heavy."""
    return (folder / "portfolio.json").exists()


def train_on_file(
    file: str | None, settings: list[str], out: Path | None, resume: Path | None, minutes: float | None
) -> tuple[Path, dict[str, Any]]:
    """Compare models on a file, or continue in the folder `resume`; returns the run folder and its metrics."""
    from ostinato.portfolio import resume_search, train_file
    from ostinato.progress import Progress

    progress = Progress()
    folder = new_folder(out, Path(str(file)).stem) if resume is None else resume
    try:
        if resume is not None:
            return folder, resume_search(folder, minutes=minutes, progress=progress)
        limit = DEFAULT_MINUTES if minutes is None else minutes
        return folder, train_file(Path(str(file)), minutes=limit, folder=folder, settings=settings, progress=progress)
    except KeyboardInterrupt:
        _say_what_is_saved(folder, progress.say)
        raise typer.Exit(130) from None


def _say_what_is_saved(folder: Path, tell: Any) -> None:
    """After Ctrl-C: what the folder contains, and how to go on."""
    from ostinato.runs import is_complete
    from ostinato.runs.folder import CONFIG, resume_command

    if not is_search(folder):
        tell("Stopped before training began.")
    elif (folder / CONFIG).exists() and is_complete(folder):
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
