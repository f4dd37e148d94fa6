"""train, evaluate, predict."""

import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.cli import bulk, following
from ostinato.cli.arguments import (
    Cache,
    Device,
    FileSettings,
    Json,
    On,
    Settings,
    config_of,
    is_data_file,
    load_on,
    new_folder,
    preset_names,
    reading,
    row_groups,
    use_cache,
)
from ostinato.cli.exporting import answers_of_onnx
from ostinato.cli.portfolio import DEFAULT_MINUTES, is_search, leaderboard_of, show_search, train_on_file
from ostinato.cli.pretraining import with_encoder_made
from ostinato.cli.ranks import all_ranks, number_of_ranks, refuse_several_ranks
from ostinato.cli.streams import INTERRUPTED, say
from ostinato.errors import ConfigError, DataError, OstinatoError
from ostinato.printable import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ostinato.config import Config
    from ostinato.tasks.records import Answered
    from ostinato.training.ranks import Ranks

MOST_ERRORS = 20  # rows that `evaluate` names before it only counts them


def train(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="PRESET|CONFIG.TOML|FILE",
            help="A preset's name, a config file, or a data file, on which several models are compared.",
        ),
    ] = None,
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option(help="The run folder to create; by default runs/NAME.")] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help=f"FILE: how long to compare models and train the best; by default {DEFAULT_MINUTES}."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Continue an interrupted run; with --minutes, compare models for longer."),
    ] = None,
    with_report: Annotated[
        bool, typer.Option("--report", help="Write report.html into the run folder at the end.")
    ] = False,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Train a model into a run folder.

    For a data file, several models are compared on its validation split, and the best is the run. The test split is
    scored once, beside simple baselines. --resume continues an interrupted run.
    """
    if (what is None) == (resume is None):
        raise ConfigError(
            "Give either a preset, a config file or a data file, or --resume RUN. Presets: "
            f"{', '.join(preset_names())}."
        )
    if resume is not None and (settings or out):
        raise ConfigError("--resume uses the run's own config and folder. Remove --set and --out, or start a new run.")
    use_cache(cache)
    compares = is_data_file(what) if what is not None else is_search(Path(str(resume)))
    if minutes is not None and not compares:
        raise ConfigError(
            f"--minutes {minutes:g}: only for a data file, on which several models are compared. Remove it, or set "
            "training.max_epochs."
        )
    if compares:
        refuse_several_ranks("Comparing models on a data file")
        folder, figures = train_on_file(what, settings or [], out, resume, minutes)
    else:
        config, name = None, ""
        if what is not None and number_of_ranks() == 1:  # before PyTorch is imported
            config, name = config_of(what, settings or [])
        with all_ranks() as ranks:
            if not ranks.is_first:
                _help_train(ranks)
                return
            if what is not None and config is None:  # now that the others are there to be ended by an error
                config, name = config_of(what, settings or [])
            folder, figures = _train_one(config, name, out, resume, ranks)
    page = None
    if with_report:
        from ostinato.progress import Progress
        from ostinato.runs.report import report_run

        page = report_run(folder, progress=Progress())
    if as_json:
        candidates = {"leaderboard": leaderboard_of(folder).to_json()} if compares else {}
        say(to_json({"run": str(folder), **({"report": str(page)} if page else {}), **candidates, **figures}))
        return
    if compares:
        show_search(folder, figures)
    else:
        from ostinato.runs.table import print_results

        print_results([(folder, figures)])
    if page is not None:
        say(f"Report: {page}")


def _help_train(ranks: "Ranks") -> None:
    """Train on a rank that writes and prints nothing; its errors name it."""
    from ostinato import runs

    try:
        runs.help_train(ranks)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except OstinatoError as error:
        raise OstinatoError(f"Rank {ranks.rank}: {error}") from None


def _train_one(
    config: "Config | None", name: str, out: Path | None, resume: Path | None, ranks: "Ranks"
) -> "tuple[Path, dict[str, Any]]":
    """Train the model of a config; returns the run folder and its metrics.

    Args:
        config: None: that of `resume`.
        name: of the run, if `out` does not give its folder.
    """
    from ostinato import runs
    from ostinato.progress import Progress
    from ostinato.runs.folder import refuse_pretraining, resume_command

    progress = Progress()
    folder = resume
    try:
        if config is None:
            folder = Path(str(resume))
            refuse_pretraining(folder)
            if runs.is_complete(folder):
                progress.say(f"{resume} is already finished; there is nothing to resume.")
            return folder, runs.resume_run(folder, progress=progress, ranks=ranks)
        config = with_encoder_made(config)
        folder = new_folder(out, name)
        return folder, runs.start_run(config, folder, progress=progress, ranks=ranks)
    except KeyboardInterrupt:
        has_begun = folder is not None and folder.exists()
        resumable = f"Stopped. Continue with: {resume_command(Path(str(folder)))}"
        progress.say(resumable if has_begun else "Stopped before training began.")
        raise typer.Exit(INTERRUPTED) from None


def evaluate(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A finished run folder; with FILE, also a model file or hf://OWNER/NAME."),
    ],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A labelled file; by default the run's own test split.")
    ] = None,
    settings: FileSettings = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Score a run on a labelled file, or on its test split.

    Rows of the file that cannot be read are reported and left out, and the exit status is 1. Rows that the run was
    trained or validated on are counted: the scores are too good for new rows.
    """
    if settings and file is None:
        raise ConfigError(
            f"--set {settings[0]}: changes how a file is read, but no file is given, and the test split uses the "
            "run's own config. Remove it, or name a file."
        )
    from ostinato.report.terminal import print_metrics
    from ostinato.runs import evaluate_run, seen_rows

    model = load_on(run, device)
    rows: Any = None
    errors: list[DataError] = []
    if file is not None:
        rows, errors = model.task.read(file, reading(run, file, settings or [], model), model)
    for error in errors[:MOST_ERRORS]:
        say(f"{error}", err=True)
    metrics = evaluate_run(model, run, rows).to_json()
    seen = None if file is None else seen_rows(model, run, rows)
    if as_json:
        counts = {"seen_in_training": seen and seen.training, "seen_in_validation": seen and seen.validation}
        say(to_json(metrics if file is None else {**counts, **metrics}))
    else:
        if seen is not None and seen.training + seen.validation:
            say(seen.sentence)
        print_metrics(metrics)
    if errors:
        say(
            f"{_rows(len(errors))} could not be read; the scores leave {'it' if len(errors) == 1 else 'them'} out.",
            err=True,
        )
        raise typer.Exit(1)


def predict(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder, a model file, an ONNX file, or hf://OWNER/NAME.")
    ],
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE|-",
            help="A data file, or - for standard input with one sequence per line; with --on also 'FOLDER/*.csv'.",
        ),
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
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Read FILE as one growing text, and print its answer when a line changes it; Ctrl-C ends.",
        ),
    ] = False,
    device: Device = "auto",
    on: On = "local",
    out: Annotated[
        Path | None, typer.Option(help="With --on ray: the folder to write the answers to, one Parquet file per file.")
    ] = None,
) -> None:
    """Print one JSON line per sequence, in order; taggers can also print columns or coloured text.

    Write series and lists of events as JSON arrays. A row that cannot be read gets a line with its error, and the exit
    status is 1. A row of unknown tokens alone is answered with a warning.

    --on ray predicts many files on the nodes of a Ray cluster, into the folder --out. Run it again to continue.
    """
    if on != "local" or out is not None:
        if on == "local" or out is None or file in (None, "-") or text or follow or strict or form is not None:
            raise ConfigError(
                "--on ray and --out FOLDER go together, with a FILE or a pattern of files, and without --text, "
                "--strict, --follow and --format. Add the one that is missing, or remove the others."
            )
        bulk.predict_on_cluster(run, str(file), settings or [], out, device, on)
        return
    if (file is None) == (not text):
        raise ConfigError("Give either a FILE (- for standard input) or --text SEQUENCE.")
    if follow:
        if file is None or settings or strict or form not in (None, "jsonl"):
            raise ConfigError("--follow takes a FILE or -, and no --text, --set, --strict or --format. Remove them.")
        following.follow(run, file, device)
        return
    if run.suffix == ".onnx":
        if form not in (None, "jsonl"):
            raise ConfigError(f"--format {form}: an exported model answers in jsonl only.")
        answered = answers_of_onnx(run, file, text, settings or [], strict=strict)
        _finish(_print_answers(answered, lambda each: to_json(each.answer) + "\n", is_json=True))
        return
    model = load_on(run, device)
    forms = model.task.formats
    if form is not None and form not in forms:
        raise ConfigError(
            f"--format {form}: task {model.task.name} has no such format. Choose from: {', '.join(forms)}."
        )
    form = form or ("text" if sys.stdout.isatty() and "text" in forms else forms[0])
    groups = row_groups(model, run, file, text, settings or [])
    answers = chain.from_iterable(model.task.answer(model, rows, strict=strict) for rows in groups)
    _finish(_print_answers(answers, model.task.writer(model, form), is_json=form == "jsonl"))


def _finish(errors: int) -> None:
    """Report the rows that could not be read."""
    if errors:
        say(f"{_rows(errors)} could not be read.", err=True)
        raise typer.Exit(1)


def _print_answers(answers: "Iterable[Answered]", write: "Callable[[Answered], Any]", *, is_json: bool) -> int:
    """Print answers as they arrive; returns the number of rows with errors.

    Control characters in CoNLL columns are escaped on a terminal only, so that programs get the words themselves.
    """
    from rich.console import Console

    console = Console(markup=False, emoji=False, highlight=False)
    errors = 0
    for each in answers:
        if each.error is not None:
            errors += 1
            say(to_json({"error": each.error, "source": each.source}) if is_json else each.error, err=not is_json)
        elif not isinstance(text := write(each), str):
            console.print(text, soft_wrap=True)
        elif sys.stdout.isatty():
            say(text, nl=False)
        else:
            sys.stdout.write(text)
        sys.stdout.flush()
        if each.warning is not None and not is_json:
            say(f"{each.source}: {each.warning}", err=True)
    return errors


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
