"""The command `compare`."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostinato.cli.arguments import Json, Settings, config_of, interrupt, new_folder, preset_names
from ostinato.cli.streams import INTERRUPTED, say
from ostinato.cluster.connection import check_on
from ostinato.errors import ConfigError
from ostinato.printable import to_json

if TYPE_CHECKING:
    from ostinato.comparison.plan import Plan
    from ostinato.comparison.results import Comparison

SLURM = "slurm"  # of `--on`


def compare(
    what: Annotated[str | None, typer.Argument(metavar="PRESET|CONFIG.TOML", help="The config to vary.")] = None,
    vary: Annotated[
        list[str] | None, typer.Option("--vary", metavar="TABLE.KEY=A,B,…", help="A key and its values; repeatable.")
    ] = None,
    settings: Settings = None,
    seeds: Annotated[str, typer.Option(help="How many seeds (5), or which (0,1,2).")] = "5",
    folds: Annotated[
        int | None, typer.Option(help="Cross-validate with this many folds: each row is a test row once.")
    ] = None,
    match: Annotated[
        str,
        typer.Option(
            help="parameters: adjust hidden sizes so that all models have about as many weights; none: do not."
        ),
    ] = "parameters",
    metric: Annotated[
        str | None, typer.Option(help="The metric to compare models by; by default the task's main metric.")
    ] = None,
    budget_trials: Annotated[
        int, typer.Option(help="Tune each combination with this many trials before it is trained.")
    ] = 0,
    jobs: Annotated[
        int | None, typer.Option(help="Runs that train in parallel; by default one per thread, or CPU of the cluster.")
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="local|ray|ray://HOST:PORT|slurm",
            help="Where to run: in this process, or on the nodes of a Ray cluster; slurm: write a job array instead.",
        ),
    ] = "local",
    out: Annotated[Path | None, typer.Option(help="The comparison's folder; by default runs/compare-NAME.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Resume an interrupted comparison.")] = None,
    as_json: Json = False,
) -> None:
    """Train every combination of the varied keys with every seed, and report which differ significantly.

    All combinations use the same splits and about as many parameters. Differences are tested on the same test rows, and
    p values are corrected for the number of pairs. Run the same command again, or --resume, to continue an interrupted
    comparison. Exit status 1: a run failed.
    """
    if resume is not None and (what or vary or settings or out):
        raise ConfigError(
            "--resume uses the comparison's own plan and folder. Remove PRESET, --vary, --set and --out, or start a "
            "new comparison without --resume."
        )
    if jobs is not None and jobs < 1:
        raise ConfigError(f"--jobs {jobs}: expected at least 1 process.")
    if on != SLURM:
        check_on(on)
    config, name = (None, "") if what is None else config_of(what, settings or [])  # before PyTorch is imported
    from ostinato.comparison.options import make_plan
    from ostinato.comparison.page import check_page_extra
    from ostinato.comparison.plan import read_plan

    if resume is not None:
        plan, folder = read_plan(resume), resume
    elif config is None:
        raise ConfigError(f"Give a preset or a config file, or --resume FOLDER. Presets: {', '.join(preset_names())}.")
    elif not vary:
        raise ConfigError("Nothing to compare. Add for example: --vary model.cell=rnn,lstm,gru")
    else:
        plan = make_plan(config, vary, seeds=seeds, folds=folds, match=match, metric=metric, trials=budget_trials)
        folder = new_folder(out, f"compare-{name}")
    if on == SLURM:
        _write_job_array(plan, folder, as_json)
        return
    check_page_extra()
    comparison = _run(plan, folder, jobs, on)
    _show(comparison, folder, as_json)
    if comparison.failed:
        raise typer.Exit(1)


def _write_job_array(plan: "Plan", folder: Path, as_json: bool) -> None:
    """Write the script of a job array, and say how to submit it."""
    from ostinato.comparison.compare import write_job_array
    from ostinato.runs.folder import shell_path

    script, finish = write_job_array(plan, folder), f"ostinato compare --resume {shell_path(folder)}"
    if as_json:
        say(to_json({"folder": str(folder), "script": None if script is None else str(script), "then": finish}))
    elif script is None:
        say(f"All runs are finished. Compare them with: {finish}")
    else:
        say(f"Submit the runs with: sbatch {shell_path(script)}\nWhen they have ended, compare them with: {finish}")


def _run(plan: "Plan", folder: Path, jobs: int | None, on: str) -> "Comparison":
    """Run the comparison; exit with status 130 on Ctrl-C or SIGTERM."""
    from ostinato.cluster import connected
    from ostinato.comparison.compare import run_comparison
    from ostinato.progress import Progress
    from ostinato.runs.folder import shell_path

    progress = Progress()
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with connected(on, progress) as cluster:
            return run_comparison(plan, folder, processes=jobs, progress=progress, cluster=cluster)
    except KeyboardInterrupt:
        progress.say(
            "Interrupted; finished runs and checkpoints are saved. "
            f"Resume with: ostinato compare --resume {shell_path(folder)}{'' if on == 'local' else f' --on {on}'}"
        )
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(comparison: "Comparison", folder: Path, as_json: bool) -> None:
    """Print the results and write the page."""
    from ostinato.comparison.page import write_comparison_page
    from ostinato.comparison.table import print_comparison

    if as_json:
        page = write_comparison_page(comparison, folder)
        shown = {"folder": str(folder), "page": str(page), **comparison.to_json()}
        say(to_json(shown))
        return
    print_comparison(comparison)  # before the page, which takes a while
    say(f"Page: {write_comparison_page(comparison, folder)}")
