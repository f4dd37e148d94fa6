"""train, evaluate, predict."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ostinato.cli.arguments import (
    Device,
    FileSettings,
    Json,
    Settings,
    config_of,
    load_on,
    preset_names,
    reading,
    rows_of,
)
from ostinato.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ostinato.tasks.base import Answered


def train(
    what: Annotated[
        str | None, typer.Argument(metavar="PRESET|CONFIG.TOML", help="A preset's name, or a config file.")
    ] = None,
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option(help="The run folder to create; by default runs/NAME.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Continue an interrupted run.")] = None,
    with_report: Annotated[
        bool, typer.Option("--report", help="Write report.html into the run folder at the end.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a model into a run folder.

    The test split is scored once, beside simple baselines. --resume continues an interrupted run.
    """
    if (what is None) == (resume is None):
        raise ConfigError(
            f"Give either a preset or config file, or --resume RUN. Presets: {', '.join(preset_names())}."
        )
    if resume is not None and (settings or out):
        raise ConfigError("--resume uses the run's own config and folder. Remove --set and --out, or start a new run.")
    from ostinato import runs
    from ostinato.progress import Progress
    from ostinato.runs.folder import resume_command
    from ostinato.runs.table import print_results

    progress = Progress()
    folder = resume
    try:
        if resume is not None:
            if runs.is_complete(resume):
                progress.say(f"{resume} is already finished; there is nothing to resume.")
            figures = runs.resume_run(resume, progress=progress)
        else:
            config, name = config_of(what or "", settings or [])
            folder = out or runs.free_folder(name)
            figures = runs.start_run(config, folder, progress=progress)
    except KeyboardInterrupt:
        has_begun = folder is not None and folder.exists()
        resumable = f"Stopped. Continue with: {resume_command(Path(str(folder)))}"
        progress.say(resumable if has_begun else "Stopped before training began.")
        raise typer.Exit(130) from None
    page = None
    if with_report:
        from ostinato.runs.report import report_run

        page = report_run(Path(str(folder)), progress=progress)
    if as_json:
        typer.echo(
            json.dumps({"run": str(folder), **({"report": str(page)} if page else {}), **figures}, ensure_ascii=False)
        )
    else:
        print_results([(Path(str(folder)), figures)])
        if page is not None:
            typer.echo(f"Report: {page}")


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A labelled file; by default the run's own test split.")
    ] = None,
    settings: FileSettings = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Score a run on a labelled file, or on its test split.

    Rows of the file that the run was trained or validated on are counted: the scores are too good for new rows.
    """
    if settings and file is None:
        raise ConfigError(
            f"--set {settings[0]}: changes how a file is read, but no file is given, and the test split uses the "
            "run's own config. Remove it, or name a file."
        )
    from ostinato.report.terminal import print_metrics
    from ostinato.runs import evaluate_run, seen_rows

    model = load_on(run, device)
    rows = None if file is None else model.task.read(file, reading(run, file, settings or [], model))
    metrics = evaluate_run(model, run, rows).to_json()
    seen = None if file is None else seen_rows(model, run, rows)
    if as_json:
        counts = {"seen_in_training": seen and seen.training, "seen_in_validation": seen and seen.validation}
        typer.echo(json.dumps(metrics if file is None else {**counts, **metrics}, ensure_ascii=False))
        return
    if seen is not None and seen.training + seen.validation:
        typer.echo(seen.sentence)
    print_metrics(metrics)


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder, or a model file.")],
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE|-", help="A data file, or - for standard input with one sequence per line."),
    ] = None,
    text: Annotated[list[str] | None, typer.Option(metavar="SEQUENCE", help="A sequence; repeatable.")] = None,
    settings: FileSettings = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="jsonl; taggers also conll (columns) or text (coloured). Default: text on a terminal, else jsonl.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first row that cannot be read or has only unknown tokens.")
    ] = False,
    device: Device = "auto",
) -> None:
    """Print one JSON line per sequence, in order; taggers can also print columns or coloured text.

    Write series and lists of events as JSON arrays. A row that cannot be read gets a line with its error, and the exit
    status is 1. A row of unknown tokens alone is answered with a warning.
    """
    if (file is None) == (not text):
        raise ConfigError("Give either a FILE (- for standard input) or --text SEQUENCE.")
    model = load_on(run, device)
    forms = model.task.formats
    if form is not None and form not in forms:
        raise ConfigError(
            f"--format {form}: task {model.task.name} has no such format. Choose from: {', '.join(forms)}."
        )
    form = form or ("text" if sys.stdout.isatty() and "text" in forms else forms[0])
    rows = rows_of(model, run, file, text, settings or [])
    errors = _print_answers(model.task.answer(model, rows, form=form, strict=strict), is_json=form == "jsonl")
    if errors:
        sys.stderr.write(f"{errors:,} {'row' if errors == 1 else 'rows'} could not be read.\n")
        raise typer.Exit(1)


def _print_answers(answers: "Iterable[Answered]", *, is_json: bool) -> int:
    """Print answers as they arrive; returns the number of rows with errors."""
    from rich.console import Console

    console = Console(markup=False, emoji=False, highlight=False)
    errors = 0
    for each in answers:
        if each.error is not None:
            errors += 1
            line = json.dumps({"error": each.error, "source": each.source}, ensure_ascii=False)
            (sys.stdout if is_json else sys.stderr).write(f"{line if is_json else each.error}\n")
        elif isinstance(each.text, str):
            sys.stdout.write(each.text)
        else:
            console.print(each.text, soft_wrap=True)
        if each.warning is not None and not is_json:
            sys.stderr.write(f"{each.source}: {each.warning}\n")
    sys.stdout.flush()
    return errors
