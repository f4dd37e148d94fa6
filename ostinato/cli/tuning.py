"""tune."""

import json
import shlex
import signal
from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.arguments import Json, Settings, config_of, interrupt, preset_names
from ostinato.errors import ConfigError


def tune(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="PRESET|CONFIG.TOML", help="The config to improve; its table [search] says where to look."
        ),
    ] = None,
    trials: Annotated[int | None, typer.Option(help="How many trials in all; by default 30.")] = None,
    settings: Settings = None,
    seed: Annotated[int, typer.Option(help="Draws the proposals.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The search's folder; by default runs/tune-NAME.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Go on with a search that was stopped, or with more trials.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Search for better settings on the validation split, then train the best and score the test split once.

    The config's own settings are the first trial. Trials that fall behind are pruned. The best config is written as best.toml.
    """
    if (what is None) == (resume is None):
        raise ConfigError(
            f"Give either a preset or config file, or --resume FOLDER. Presets: {', '.join(preset_names())}."
        )
    if resume is not None and (settings or out):
        raise ConfigError(
            "--resume goes on with the search's own plan and folder. Leave --set and --out away, or start a new one."
        )
    from ostinato import runs, tuning
    from ostinato.progress import Progress
    from ostinato.runs.table import print_results

    if resume is not None:
        search, folder = tuning.read_search(resume, trials=trials), resume
    else:
        config, name = config_of(what or "", settings or [])
        search, folder = (
            tuning.make_search(config, trials=30 if trials is None else trials, seed=seed),
            out or runs.free_folder(f"tune-{name}"),
        )
    progress = Progress()
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        found = tuning.tune(search, folder, progress=progress)
        run = folder / f"best-of-{len(found['trials'])}"
        figures = (
            runs.resume_run(run, progress=progress)
            if run.exists()
            else runs.start_run(tuning.best_config(found), run, progress=progress)
        )
    except KeyboardInterrupt:
        progress.say(
            f"Stopped; finished trials are kept. Go on with: ostinato tune --resume {shlex.quote(str(folder))}"
        )
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    if as_json:
        typer.echo(
            json.dumps(
                {"folder": str(folder), "run": str(run), **found, "test": figures.get("test")}, ensure_ascii=False
            )
        )
        return
    values = ", ".join(f"{key} {tuning.in_words(value)}" for key, value in found["best"]["values"].items())
    untuned = "failed" if found["untuned"] is None else f"{found['untuned']:.4f}"
    typer.echo(
        f"Best of {len(found['trials'])} trials, validation {found['monitor']} {found['best']['score']:.4f} (untuned {untuned}): {values}"
    )
    typer.echo("The best of many trials flatters on validation; the test split below was scored once.")
    print_results([(run, figures)])
    typer.echo(f"Train it again with: ostinato train {shlex.quote(str(folder / tuning.BEST))}")
