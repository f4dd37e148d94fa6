"""compare."""

import json
import shlex
import signal
from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.arguments import Json, Settings, config_of, interrupt, preset_names
from ostinato.errors import ConfigError


def compare(
    what: Annotated[str | None, typer.Argument(metavar="PRESET|CONFIG.TOML", help="The config that is varied.")] = None,
    vary: Annotated[
        list[str] | None, typer.Option("--vary", metavar="TABLE.KEY=A,B,…", help="A key and its values; repeatable.")
    ] = None,
    settings: Settings = None,
    seeds: Annotated[str, typer.Option(help="How many seeds (5), or which (0,1,2).")] = "5",
    folds: Annotated[
        int | None, typer.Option(help="Cross-validate: cut the rows into so many folds, each the test split once.")
    ] = None,
    match: Annotated[
        str, typer.Option(help="parameters: adjust the hidden size until all have as many; none: leave it.")
    ] = "parameters",
    metric: Annotated[
        str | None,
        typer.Option(help="What models are compared by; by default accuracy, F1 of taggers that are trained for it."),
    ] = None,
    budget_trials: Annotated[
        int, typer.Option(help="Tune each combination by so many trials before it is trained.")
    ] = 0,
    jobs: Annotated[int | None, typer.Option(help="Processes side by side; by default one a core.")] = None,
    out: Annotated[Path | None, typer.Option(help="The comparison's folder; by default runs/compare-NAME.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Go on with a comparison that was stopped.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train every combination of the varied keys with every seed, and say which differ.

    Splits are the same for all, parameters are matched, differences are tested on the same test rows and corrected for
    their number. Finished runs are kept: the same command, or --resume, goes on where it stopped. Exit status 1: a run failed.
    """
    if (what is None) == (resume is None):
        raise ConfigError(
            f"Give either a preset or config file, or --resume FOLDER. Presets: {', '.join(preset_names())}."
        )
    if resume is not None and (vary or settings or out):
        raise ConfigError(
            "--resume goes on with the comparison's own plan and folder. Leave --vary, --set and --out away, or start a new one."
        )
    if jobs is not None and jobs < 1:
        raise ConfigError(f"--jobs {jobs}: expected at least 1 process.")
    from ostinato.comparison.compare import run_comparison
    from ostinato.comparison.page import check_page_extra, write_comparison_page
    from ostinato.comparison.plan import make_plan, read_plan
    from ostinato.comparison.table import print_comparison
    from ostinato.progress import Progress
    from ostinato.runs import free_folder

    if resume is not None:
        plan, folder = read_plan(resume), resume
    else:
        config, name = config_of(what or "", settings or [])
        if not vary:
            raise ConfigError("Nothing to compare. Say what varies, for example: --vary model.cell=rnn,lstm,gru")
        plan = make_plan(config, vary, seeds=seeds, folds=folds, match=match, metric=metric, trials=budget_trials)
        folder = out or free_folder(f"compare-{name}")
    check_page_extra()
    progress = Progress()
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        results = run_comparison(plan, folder, processes=jobs, progress=progress)
    except KeyboardInterrupt:
        progress.say(
            f"Stopped; what was done is kept. Go on with: ostinato compare --resume {shlex.quote(str(folder))}"
        )
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    if not as_json:
        print_comparison(results)
    page = write_comparison_page(results, folder)
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "page": str(page), **results}, ensure_ascii=False))
    else:
        typer.echo(f"Page: {page}")
    if any(run["status"] == "failed" for run in results["runs"]):
        raise typer.Exit(1)
