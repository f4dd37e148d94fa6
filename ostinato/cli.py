"""The command line: parse, call, print. Everything heavy is imported by the command that needs it."""

import io
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.errors import ConfigError, OstinatoError, look_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ostinato.config import Config, DataConfig
    from ostinato.data.examples import Record
    from ostinato.estimators import SequenceClassifier

app = typer.Typer(
    help="Recurrent sequence classification: train, evaluate, predict, explain.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # rich would double the time that --help takes
)
data_app = typer.Typer(help="Named data sets, and audits of any data.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Change one key of the config; repeatable.")]
FileSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="data.KEY=VALUE", help="Read the file otherwise than the training data, as data.text_column=review; repeatable."),
]


def main() -> None:
    """Run the command line; errors of ours are one line each and exit status 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whatever the locale, JSON is UTF-8 and no character stops us
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        app()
    except OstinatoError as error:
        _fail(str(error))
    except BrokenPipeError:  # who read our output has gone, as `| head` does; nothing is wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except OSError as error:  # what no part of ours reads or writes by name: mostly standard output, when the disk is full
        if error.filename is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python tries again at exit
        _fail(f"{error.filename or 'the output'}: {error.strerror}. Make room, or choose another place.")


def _fail(message: str) -> None:
    typer.echo("\n".join(f"Error: {line}" for line in message.splitlines()), err=True)
    sys.exit(2)


@app.command()
def train(
    what: Annotated[str | None, typer.Argument(metavar="PRESET|CONFIG.TOML", help="A preset's name, or a config file.")] = None,
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option(help="The run folder to make; by default runs/NAME.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped.")] = None,
    with_report: Annotated[bool, typer.Option("--report", help="Write report.html into the run folder at the end.")] = False,
    as_json: Json = False,
) -> None:
    """Train a classifier into a run folder.

    The test split is scored once, beside what the model must beat; --resume goes on with a run that was stopped.
    """
    if (what is None) == (resume is None):
        raise ConfigError(f"Give either a preset or config file, or --resume RUN. Presets: {', '.join(_presets())}.")
    if resume is not None and (settings or out):
        raise ConfigError("--resume goes on with the run's own config and folder. Leave --set and --out away, or start a new run.")
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
            config, name = _config(what or "", settings or [])
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
        typer.echo(json.dumps({"run": str(folder), **({"report": str(page)} if page else {}), **figures}, ensure_ascii=False))
    else:
        summary.print_results([(Path(str(folder)), figures)])
        if page is not None:
            typer.echo(f"Report: {page}")


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")],
    data: Annotated[Path | None, typer.Argument(metavar="DATA", help="A labelled file; by default the run's own test split.")] = None,
    settings: FileSettings = None,
    as_json: Json = False,
) -> None:
    """Score a run on a labelled file, or on its test split."""
    from ostinato import runs, summary

    examples = None
    if data is not None:
        from ostinato.data.dataset import examples_of
        from ostinato.data.readers import read_labelled

        examples = examples_of(read_labelled(data, _reading(run, data, settings or []))[0])
    figures = runs.evaluate_run(run, examples)
    if as_json:
        typer.echo(json.dumps(figures, ensure_ascii=False))
    else:
        summary.print_metrics(figures)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder, or a model file.")],
    file: Annotated[str | None, typer.Argument(metavar="FILE|-", help="A data file, or - for one sequence a line from standard input.")] = None,
    text: Annotated[list[str] | None, typer.Option(metavar="SEQUENCE", help="A sequence; repeatable.")] = None,
    settings: FileSettings = None,
) -> None:
    """Print a JSON line for each sequence, in order.

    A line holds the label and the probability of every label. Series and lists of events are given as JSON arrays.
    """
    if (file is None) == (not text):
        raise ConfigError("Nothing to predict, or two things. Give either a FILE (- for standard input) or --text SEQUENCE.")
    from ostinato import prediction
    from ostinato.estimators import load

    model = load(run)
    for line in prediction.json_lines(model, _records(model, run, file, text, settings or [])):
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


@app.command()
def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder, or a model file.")],
    file: Annotated[str | None, typer.Argument(metavar="FILE|-", help="A data file, or -; by default rows of the run's own test split.")] = None,
    text: Annotated[list[str] | None, typer.Option(metavar="SEQUENCE", help="A sequence; repeatable.")] = None,
    method: Annotated[str, typer.Option(help="Or gradient-x-input, occlusion, attention, in-silico-mutagenesis.")] = "integrated-gradients",
    label: Annotated[str | None, typer.Option(help="The class to explain; by default each sequence's answer.")] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="At most so many sequences; by default 5 of the test split, all of a file.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Also write explanations.json, a page, and pictures there.")] = None,
    settings: FileSettings = None,
    as_json: Json = False,
) -> None:
    """Show what drove the answers, token by token, and how far to believe it."""
    if file is not None and text:
        raise ConfigError("Two things to explain. Give either a FILE (- for standard input) or --text SEQUENCE.")
    from itertools import islice

    from ostinato.estimators import load
    from ostinato.explanation import terminal
    from ostinato.explanation.records import explain_records
    from ostinato.progress import Progress

    model = load(run)
    if file is None and not text:
        from ostinato.runs import test_examples

        records = test_examples(run).records()[: rows or 5]
    else:
        records = list(islice(_records(model, run, file, text, settings or []), rows))
    explained = explain_records(model, records, method=method, label=label, progress=Progress())
    if out is not None:
        from ostinato.report.explanation_page import write_explanations

        write_explanations(out, explained)
    if as_json:
        typer.echo(json.dumps(explained.to_dict(), ensure_ascii=False, allow_nan=False))
    else:
        terminal.print_explained(explained)
    if out is not None:
        typer.echo(f"Written: {out / 'explanations.html'}", err=True)


@app.command()
def trace(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder, or a model file.")],
    text: Annotated[str | None, typer.Option(metavar="SEQUENCE", help="The sequence; by default the first row of the run's own test split.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png|svg|pdf", help="Also draw it there.")] = None,
    as_json: Json = False,
) -> None:
    """Follow a model through a sequence: state, gates and running answer at each step."""
    from ostinato.estimators import load
    from ostinato.explanation import terminal
    from ostinato.explanation.trace import trace

    model = load(run)
    if text is None:
        from ostinato.runs import test_examples

        sequence = test_examples(run).sequences[0]
    else:
        sequence = next(_records(model, run, None, [text], [])).sequence
    traced = trace(model, sequence)
    if plot is not None:
        from ostinato.explanation.plot_trace import plot_trace
        from ostinato.report.gallery import save_figure

        save_figure(plot_trace(traced), plot)
    if as_json:
        typer.echo(json.dumps(traced.to_dict(), ensure_ascii=False, allow_nan=False))
    else:
        terminal.print_trace(traced)


@app.command()
def report(run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")]) -> None:
    """Write a run's report.html, its model card, and the pictures as files."""
    from ostinato.progress import Progress
    from ostinato.report.run_report import report_run

    typer.echo(f"Written: {report_run(run, progress=Progress())}")


@data_app.command("list")
def data_list(as_json: Json = False) -> None:
    """The named data sets."""
    from ostinato.data.named import NAMED

    if as_json:
        typer.echo(json.dumps({name: {"description": each.description, "size": each.size, "tokenizer": each.tokenizer} for name, each in NAMED.items()}))
        return
    from ostinato import summary

    summary.print_table(("name", "tokenizer", "what"), [(name, each.tokenizer, each.description) for name, each in NAMED.items()])


@data_app.command("show")
def data_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A named data set.")],
    rows: Annotated[int, typer.Option(min=1, help="How many training rows to show.")] = 5,
    as_json: Json = False,
) -> None:
    """A named data set: what, where from, and its first rows."""
    from ostinato.config import DataConfig
    from ostinato.data.dataset import load_dataset
    from ostinato.data.named import NAMED

    named = look_up(NAMED, name, "data set")
    data = load_dataset(DataConfig(name=name))
    facts = {"name": name, "description": named.description, "size": named.size, "tokenizer": named.tokenizer}
    facts |= {"source": named.source, "found": data.source}
    first = list(zip(map(_plain, data.train.sequences[:rows]), data.train.labels[:rows], strict=True))
    if as_json:
        typer.echo(json.dumps({**facts, "rows": [{"sequence": sequence, "label": label} for sequence, label in first]}, ensure_ascii=False))
        return
    for key, value in facts.items():
        typer.echo(f"{key}: {value}")
    for sequence, label in first:
        typer.echo(f"  {label}\t{_shortened(sequence)}")


@data_app.command("audit")
def data_audit(
    what: Annotated[str, typer.Argument(metavar="PRESET|CONFIG.TOML|NAME|FILE", help="A preset, a config, a named data set, or a data file.")],
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """What training would say of data, without training.

    Classes, lengths, duplicates, leaks between splits, truncation, unknown tokens.
    """
    from ostinato import runs

    data = runs.prepare(_data_config(what, settings or []))[0]
    typer.echo(json.dumps(data.audit.to_dict(), ensure_ascii=False) if as_json else "\n".join(data.audit.lines()))


@app.command()
def init(what: Annotated[str, typer.Argument(metavar="PRESET|FILE", help="A preset's name, or a data file to guess a config for.")]) -> None:
    """Print a config: a preset's, or a guess for a data file.

    Columns, tokenizer and splits are guessed from the file's first rows, and each guess is said in a comment.
    """
    from ostinato.config import to_toml

    if _is_data_file(what):
        from ostinato.guess import guess_config

        config, reasons = guess_config(Path(what))
        for reason in reasons:
            typer.echo("# " + "".join(character if character.isprintable() else " " for character in reason))
        typer.echo()
    else:
        config = _config(what, [])[0]
    typer.echo(to_toml(config), nl=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the config."""
    from ostinato.config import json_schema

    typer.echo(json_schema())


@app.command()
def doctor(
    model: Annotated[Path | None, typer.Option(metavar="RUN", help="A run or model file: also show the engine of each of its layers.")] = None,
    as_json: Json = False,
) -> None:
    """Versions, engine, threads, device, and what is missing."""
    from ostinato import doctor, summary

    facts = doctor.examine()
    if model is not None:
        facts["layers"] = doctor.examine_model(model)
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        summary.print_table(("what", "found"), doctor.rows(facts))
        if model is not None:
            summary.print_table(("layer", "what", "runs on"), [tuple(layer.values()) for layer in facts["layers"]])


def _presets() -> list[str]:
    from ostinato.presets import PRESETS

    return sorted(PRESETS)


def _config(what: str, settings: list[str]) -> "tuple[Config, str]":
    """The config that a preset's name or a TOML file stands for, and a name for its run."""
    from ostinato.config import override, read_config
    from ostinato.presets import PRESETS

    if what.endswith(".toml"):
        return override(read_config(Path(what)), settings), Path(what).stem
    if _is_data_file(what):
        raise ConfigError(f"{what} is a data file. Write a config for it first: ostinato init {shlex.quote(what)} > config.toml")
    return override(look_up(PRESETS, what, "preset")(), settings), what


def _data_config(what: str, settings: list[str]) -> "Config":
    """As `_config`, but a named data set or a data file, with all guesses, will do too."""
    from ostinato.config import Config, DataConfig, override
    from ostinato.data.named import NAMED
    from ostinato.presets import PRESETS

    if _is_data_file(what):
        from ostinato.guess import guess_config

        config, reasons = guess_config(Path(what))
        typer.echo("\n".join(reasons[1:]), err=True)
        return override(config, settings)
    if what.endswith(".toml") or what in PRESETS:
        return _config(what, settings)[0]
    name = what if what in NAMED else look_up({each: each for each in (*PRESETS, *NAMED)}, what, "preset or data set")
    return override(Config(data=DataConfig(name=name)), settings)


def _is_data_file(what: str) -> bool:
    return not what.endswith(".toml") and ("." in what or os.sep in what)


def _reading(run: Path, file: Path, settings: list[str]) -> "DataConfig":
    """How to read `file`: as the run's own data file, but for the settings."""
    from ostinato.config import Config, DataConfig, override, read_config

    for setting in settings:
        if not setting.startswith("data."):
            raise ConfigError(f"--set {setting}: the model is trained already. Set only how the file is read, for example: --set data.text_column=review")
    own = run / "config.toml"
    data = read_config(own).data if own.exists() else DataConfig(path=str(file))
    elsewhere = dict.fromkeys(("name", "validation_path", "test_path", "split_column", "group_column", "format"))
    return override(Config(data=data.model_copy(update={**elsewhere, "path": str(file)})), settings).data


def _records(model: "SequenceClassifier", run: Path, file: str | None, text: list[str] | None, settings: list[str]) -> "Iterator[Record]":
    """The sequences of --text, of standard input, or of a file."""
    from ostinato import prediction

    if text:
        return prediction.typed(((f"--text {number}", each) for number, each in enumerate(text, 1)), model.encoder_.tokenizer)
    if file == "-":
        return prediction.typed(prediction.lines(sys.stdin.buffer), model.encoder_.tokenizer)
    from ostinato.data.readers import read_records

    path = Path(str(file))
    return read_records(path, _reading(run, path, settings), labelled=False)


def _plain(sequence: Any) -> Any:
    """A sequence as JSON has it."""
    return sequence.tolist() if hasattr(sequence, "tolist") else sequence


def _shortened(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 100 else text[:99] + "…"
