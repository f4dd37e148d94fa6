"""train, evaluate, predict."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ostinato.cli.arguments import (
    FileSettings,
    Json,
    Settings,
    config_of,
    preset_names,
    reading,
    records_of,
    sentences_of,
)
from ostinato.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ostinato.data.examples import Sentence
    from ostinato.estimators import SequenceTagger

PredictionFormat = Literal["jsonl", "conll", "text"]


def train(
    what: Annotated[
        str | None, typer.Argument(metavar="PRESET|CONFIG.TOML", help="A preset's name, or a config file.")
    ] = None,
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option(help="The run folder to make; by default runs/NAME.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped.")] = None,
    with_report: Annotated[
        bool, typer.Option("--report", help="Write report.html into the run folder at the end.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a classifier or tagger into a run folder.

    The test split is scored once, beside what the model must beat; --resume goes on with a run that was stopped.
    """
    if (what is None) == (resume is None):
        raise ConfigError(
            f"Give either a preset or config file, or --resume RUN. Presets: {', '.join(preset_names())}."
        )
    if resume is not None and (settings or out):
        raise ConfigError(
            "--resume goes on with the run's own config and folder. Leave --set and --out away, or start a new run."
        )
    from ostinato import runs, summary
    from ostinato.progress import Progress

    progress = Progress()
    folder = resume
    try:
        if resume is not None:
            if runs.finished_metrics(resume) is not None:
                progress.say(f"{resume} is finished already: nothing to resume.")
            figures = runs.resume_run(resume, progress=progress)
        else:
            config, name = config_of(what or "", settings or [])
            folder = out or runs.free_folder(name)
            figures = runs.start_run(config, folder, progress=progress)
    except KeyboardInterrupt:
        kept = folder is not None and folder.exists()
        told = f"Stopped; what was done is kept. Go on with: ostinato train --resume {shlex.quote(str(folder))}"
        progress.say(told if kept else "Stopped before there was anything to keep.")
        raise typer.Exit(130) from None
    page = None
    if with_report:
        from ostinato.report.run_report import report_run

        page = report_run(Path(str(folder)), progress=progress)
    if as_json:
        typer.echo(
            json.dumps({"run": str(folder), **({"report": str(page)} if page else {}), **figures}, ensure_ascii=False)
        )
    else:
        summary.print_results([(Path(str(folder)), figures)])
        if page is not None:
            typer.echo(f"Report: {page}")


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")],
    data: Annotated[
        Path | None, typer.Argument(metavar="DATA", help="A labelled file; by default the run's own test split.")
    ] = None,
    settings: FileSettings = None,
    as_json: Json = False,
) -> None:
    """Score a run on a labelled file, or on its test split."""
    from ostinato import runs, summary

    if runs.task_of(run) == "tagging":
        from ostinato.data.tagged import read_sentences

        sentences = None if data is None else list(read_sentences(data, reading(run, data, settings or [], "tagging")))
        figures = runs.evaluate_tagger(run, sentences)
    else:
        from ostinato.data.dataset import examples_of
        from ostinato.data.readers import read_labelled

        examples = None if data is None else examples_of(read_labelled(data, reading(run, data, settings or []))[0])
        figures = runs.evaluate_run(run, examples)
    if as_json:
        typer.echo(json.dumps(figures, ensure_ascii=False))
    else:
        summary.print_metrics(figures)


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder, or a model file.")],
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE|-", help="A data file, or - for one sequence a line from standard input."),
    ] = None,
    text: Annotated[list[str] | None, typer.Option(metavar="SEQUENCE", help="A sequence; repeatable.")] = None,
    settings: FileSettings = None,
    form: Annotated[
        PredictionFormat | None,
        typer.Option(
            "--format",
            help="A tagger's answers: jsonl, conll (columns), or text, in colours; by default text on a terminal, else jsonl.",
        ),
    ] = None,
) -> None:
    """Print a JSON line for each sequence, in order; for a tagger also columns or coloured text.

    A line holds the label and the probability of every label; of a tagger tokens, tags and spans. Series and lists of
    events are given as JSON arrays, a tagger's sentences as text.
    """
    if (file is None) == (not text):
        raise ConfigError(
            "Nothing to predict, or two things. Give either a FILE (- for standard input) or --text SEQUENCE."
        )
    from ostinato import prediction
    from ostinato.estimators import SequenceTagger, load

    model = load(run)
    if isinstance(model, SequenceTagger):
        _tag(
            model,
            sentences_of(model, run, file, text, settings or []),
            form or ("text" if sys.stdout.isatty() else "jsonl"),
        )
        return
    if form not in (None, "jsonl"):
        raise ConfigError(
            f"--format {form}: is for taggers, and {run} is a classifier. Leave it away: the answers are JSON lines."
        )
    for line in prediction.json_lines(model, records_of(model, run, file, text, settings or [])):
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _tag(tagger: "SequenceTagger", sentences: "Iterator[Sentence]", form: str) -> None:
    """Write the answers as they come."""
    from rich.console import Console

    from ostinato.tag_prediction import FORMATS, answers

    console = Console(markup=False, emoji=False, highlight=False)
    for part in FORMATS[form](answers(tagger, sentences)):
        if form == "text":
            console.print(part, soft_wrap=True)
        else:
            sys.stdout.write(part)
    sys.stdout.flush()
