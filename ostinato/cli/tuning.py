"""The command `tune`."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.cli.arguments import Json, On, Settings, config_of, interrupt, new_folder, preset_names
from ostinato.cli.streams import INTERRUPTED, say
from ostinato.cluster.connection import check_on
from ostinato.errors import ConfigError
from ostinato.printable import to_json

if TYPE_CHECKING:
    from ostinato.tuning import Search, TuningResults

DEFAULT_TRIALS = 30


def tune(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="PRESET|CONFIG.TOML", help="The config to improve; its table [search] names the keys to search."
        ),
    ] = None,
    trials: Annotated[int | None, typer.Option(help=f"Total number of trials; by default {DEFAULT_TRIALS}.")] = None,
    settings: Settings = None,
    seed: Annotated[int, typer.Option(help="Seed of the sampler that proposes values.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The search's folder; by default runs/tune-NAME.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Resume an interrupted search, or add trials to one.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="With --on ray: trials at once; by default one per CPU of the cluster.")
    ] = None,
    on: On = "local",
    as_json: Json = False,
) -> None:
    """Search for better settings on the validation split, then train the best and score the test split once.

    The first trial has the config's own settings. Trials that fall behind are pruned. The best config is written to
    best.toml.
    """
    if resume is not None and (what or settings or out):
        raise ConfigError(
            "--resume uses the search's own plan and folder. Remove PRESET, --set and --out, or start a new search "
            "without --resume."
        )
    if jobs is not None and (jobs < 1 or on == "local"):
        raise ConfigError(f"--jobs {jobs}: expected at least 1, with --on ray; without it, trials run one by one.")
    check_on(on)
    config, name = (None, "") if what is None else config_of(what, settings or [])  # before PyTorch is imported
    from ostinato.tuning import make_search, read_search

    if resume is not None:
        search, folder = read_search(resume, trials=trials), resume
    elif config is None:
        raise ConfigError(f"Give a preset or a config file, or --resume FOLDER. Presets: {', '.join(preset_names())}.")
    else:
        search = make_search(config, trials=DEFAULT_TRIALS if trials is None else trials, seed=seed)
        folder = new_folder(out, f"tune-{name}")
    found, run, metrics = _run(search, folder, jobs, on)
    if as_json:
        shown = {"folder": str(folder), "run": str(run), **found.to_json(), "test": metrics.get("test")}
        say(to_json(shown))
    else:
        _show(found, folder, run, metrics)


def _run(search: "Search", folder: Path, jobs: int | None, on: str) -> "tuple[TuningResults, Path, dict[str, Any]]":
    """The search's results, the run of its best config, and that run's metrics; exit 130 on Ctrl-C or SIGTERM."""
    from ostinato import tuning
    from ostinato.cluster import connected
    from ostinato.progress import Progress
    from ostinato.runs import resume_run, start_run
    from ostinato.runs.folder import shell_path

    progress = Progress()
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with connected(on, progress) as cluster:
            found = tuning.tune(search, folder, progress=progress, cluster=cluster, at_once=jobs)
        run = folder / f"best-of-{len(found.trials)}"
        if run.exists():
            return found, run, resume_run(run, progress=progress)
        return found, run, start_run(found.best_config(), run, progress=progress)
    except KeyboardInterrupt:
        progress.say(
            f"Interrupted; finished trials are saved. Resume with: ostinato tune --resume {shell_path(folder)}"
            f"{'' if on == 'local' else f' --on {on}'}"
        )
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(found: "TuningResults", folder: Path, run: Path, metrics: dict[str, Any]) -> None:
    """Print the best trial, and the test scores of its run."""
    from ostinato.runs.folder import shell_path
    from ostinato.runs.table import print_results
    from ostinato.tuning import BEST
    from ostinato.tuning.results import format_value

    values = ", ".join(f"{key} {format_value(value)}" for key, value in found.best.values.items())
    untuned = "failed" if found.untuned is None else f"{found.untuned:.4f}"
    say(
        f"Best of {len(found.trials)} trials: validation {found.monitor} {found.best.score:.4f} (untuned {untuned}): "
        f"{values}"
    )
    say("The best of many trials looks too good on validation. The test split was scored once, after the search:")
    print_results([(run, metrics)])
    say(f"Train it again with: ostinato train {shell_path(folder / BEST)}")
