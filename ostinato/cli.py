"""The command line: parse, call, print. Everything heavy is imported by the command that needs it."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.errors import ConfigError, DataError, OstinatoError

if TYPE_CHECKING:
    from ostinato.config import Config, DataConfig
    from ostinato.data.examples import Record
    from ostinato.estimators import SequenceClassifier

ROWS_AT_A_TIME = 512

app = typer.Typer(
    help="Recurrent sequence classification: train, evaluate, predict.", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)
data_app = typer.Typer(help="Named data sets, and audits of any data.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Change one key of the config; repeatable.")]


def main() -> None:
    """Run the command line; errors of ours are one line each and exit status 2."""
    try:
        app()
    except OstinatoError as error:
        typer.echo("\n".join(f"Error: {line}" for line in str(error).splitlines()), err=True)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


@app.command()
def train(
    what: Annotated[str | None, typer.Argument(metavar="PRESET|CONFIG.TOML", help="A preset's name, or a config file.")] = None,
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option(help="The run folder to make; by default runs/NAME.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with a run that was stopped.")] = None,
    as_json: Json = False,
) -> None:
    """Train a classifier, score its test split once, and keep all of it in a run folder."""
    if (what is None) == (resume is None):
        raise ConfigError(f"Give either a preset or config file, or --resume RUN. Presets: {', '.join(_presets())}.")
    if resume is not None and (settings or out):
        raise ConfigError("--resume goes on with the run's own config and folder. Leave --set and --out away, or start a new run.")
    from ostinato import runs, summary
    from ostinato.progress import Progress

    if resume is not None:
        folder = resume
        finished = runs.finished_metrics(folder) is not None
    else:
        config, name = _config(what or "", settings or [])
        folder, finished = out or runs.free_folder(name), False
        runs.create_run(config, folder)
    try:
        figures = runs.train_run(folder, progress=Progress(), say=lambda line: typer.echo(line, err=True))
    except KeyboardInterrupt:
        typer.echo(f"Stopped; a checkpoint is kept. Go on with: ostinato train --resume {folder}", err=True)
        raise typer.Exit(130) from None
    if finished:
        typer.echo(f"{folder} is finished already: nothing to resume.", err=True)
    if as_json:
        typer.echo(json.dumps({"run": str(folder), **figures}, ensure_ascii=False))
    else:
        summary.print_results([(folder, figures)])


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")],
    data: Annotated[Path | None, typer.Argument(metavar="[DATA]", help="A labelled file; by default the run's own test split.")] = None,
    as_json: Json = False,
) -> None:
    """Score a run's model on a labelled file, or again on its own test split."""
    from ostinato import runs, summary

    examples = None
    if data is not None:
        from ostinato.data.dataset import examples_of
        from ostinato.data.readers import read_labelled

        examples = examples_of(read_labelled(data, _columns(run, data))[0])
    figures = runs.evaluate_run(run, examples)
    if as_json:
        typer.echo(json.dumps(figures, ensure_ascii=False))
    else:
        summary.print_metrics(figures)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder, or a model file.")],
    file: Annotated[str | None, typer.Argument(metavar="[FILE|-]", help="A data file, or - for one sequence a line from standard input.")] = None,
    text: Annotated[list[str] | None, typer.Option(help="A sequence; repeatable.")] = None,
) -> None:
    """Print one JSON line a sequence: its label and the probability of every label, in the order given."""
    if (file is None) == (not text):
        raise ConfigError("Nothing to predict, or two things. Give either a FILE (- for standard input) or --text SEQUENCE.")
    from ostinato.estimators import load

    model = load(run)
    if text:
        records = _typed(text, "--text", model)
    elif file == "-":
        records = _typed((line.rstrip("\r\n") for line in sys.stdin), "standard input, line", model)
    else:
        from ostinato.data.readers import read_records

        records = read_records(Path(str(file)), _columns(run, Path(str(file))), labelled=False)
    for line in _predictions(model, records):
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


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
def data_show(name: Annotated[str, typer.Argument(help="A named data set.")], rows: Annotated[int, typer.Option(min=1)] = 5, as_json: Json = False) -> None:
    """What a named data set is, where it comes from, and its first training rows."""
    from ostinato.config import DataConfig
    from ostinato.data.dataset import load_dataset
    from ostinato.data.named import NAMED
    from ostinato.errors import look_up

    named = look_up(NAMED, name, "data set")
    facts = {"name": name, "description": named.description, "size": named.size, "tokenizer": named.tokenizer, "source": named.source}
    data = load_dataset(DataConfig(name=name))
    first = [{"sequence": _shown(sequence), "label": label} for sequence, label in zip(data.train.sequences[:rows], data.train.labels[:rows], strict=True)]
    if as_json:
        typer.echo(json.dumps({**facts, "found": data.source, "rows": first}, ensure_ascii=False))
        return
    for key, value in {**facts, "found": data.source}.items():
        typer.echo(f"{key}: {value}")
    for row in first:
        typer.echo(f"  {row['label']}\t{row['sequence']}")


@data_app.command("audit")
def data_audit(
    what: Annotated[str, typer.Argument(metavar="PRESET|CONFIG.TOML|NAME|FILE", help="What to audit.")], settings: Settings = None, as_json: Json = False
) -> None:
    """What training would say of the data: classes, lengths, duplicates, leaks, unknown tokens."""
    from ostinato import runs
    from ostinato.data.named import NAMED

    config = _data_file_config(what, settings or [], named=what in NAMED) if what in NAMED or _is_data_file(what) else _config(what, settings or [])[0]
    data = runs.prepare(config)[0]
    typer.echo(json.dumps(data.audit.to_dict(), ensure_ascii=False) if as_json else "\n".join(data.audit.lines()))


@app.command()
def init(what: Annotated[str, typer.Argument(metavar="PRESET|FILE", help="A preset's name, or a data file to guess a config for.")]) -> None:
    """Print a config: a preset's, or one guessed from a data file, each guess said in a comment."""
    if _is_data_file(what):
        from ostinato.guess import guess_config

        typer.echo(guess_config(Path(what)), nl=False)
        return
    from ostinato.config import to_toml

    typer.echo(to_toml(_config(what, [])[0]), nl=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the config."""
    from ostinato.config import json_schema

    typer.echo(json_schema())


@app.command()
def doctor(as_json: Json = False) -> None:
    """Versions, engine, threads, device; what is missing and how to get it."""
    from ostinato.doctor import examine

    facts = examine()
    if as_json:
        typer.echo(json.dumps(facts))
        return
    from ostinato import summary

    summary.print_table(("what", "found"), [(key.replace("_", " "), _shown(value)) for key, value in facts.items()])


def _presets() -> list[str]:
    from ostinato.presets import PRESETS

    return sorted(PRESETS)


def _config(what: str, settings: list[str]) -> "tuple[Config, str]":
    """The config that a preset's name or a TOML file stands for, and a name for its run."""
    from ostinato.config import override, read_config
    from ostinato.errors import look_up
    from ostinato.presets import PRESETS

    if what.endswith(".toml"):
        return override(read_config(Path(what)), settings), Path(what).stem
    if _is_data_file(what):
        raise ConfigError(f"{what} is a data file. Write a config for it first: ostinato init {what} > config.toml")
    return override(look_up(PRESETS, what, "preset")(), settings), what


def _data_file_config(what: str, settings: list[str], *, named: bool) -> "Config":
    """A config for a named set, or for a data file with all guesses."""
    from ostinato.config import override, parse_config, parse_toml

    if named:
        return override(parse_config({"data": {"name": what}}), settings)
    from ostinato.guess import guess_config

    return override(parse_toml(guess_config(Path(what)), what), settings)


def _is_data_file(what: str) -> bool:
    return not what.endswith(".toml") and ("." in what or os.sep in what)


def _columns(run: Path, file: Path) -> "DataConfig":
    """How to read `file`: with the columns that the run was trained on, when there are such."""
    from ostinato.config import DataConfig, read_config

    trained = read_config(run / "config.toml").data if (run / "config.toml").exists() else DataConfig(path=str(file))
    changes = {"name": None, "path": str(file), "validation_path": None, "test_path": None, "split_column": None, "group_column": None, "format": None}
    return trained.model_copy(update=changes)


def _typed(texts: Iterable[str], origin: str, model: "SequenceClassifier") -> "Iterator[Record]":
    """Sequences as they are typed; series and lists of events may be JSON arrays."""
    from ostinato.data.examples import Record

    for number, text in enumerate(texts, 1):
        sequence: Any = text
        if text.startswith("[") and model.encoder_.tokenizer in ("numeric", "events"):
            try:
                sequence = json.loads(text)
            except json.JSONDecodeError as error:
                raise DataError(f"{origin} {number}: not a JSON array: {error}. Write a series as [1.5, 2] or [[1.5, 2], [3, 4]].") from None
        yield Record(sequence, None, None, None, f"{origin} {number}")


def _predictions(model: "SequenceClassifier", records: "Iterator[Record]") -> Iterator[str]:
    """JSON lines for a stream of records, a few hundred in memory at a time."""
    from itertools import islice

    from ostinato.estimators import rows_without_known_tokens

    labels = model.encoder_.labels
    while batch := list(islice(records, ROWS_AT_A_TIME)):
        sequences = model.encoder_.encode([record.sequence for record in batch], [record.place for record in batch])
        for row in (sequences.lengths == 0).nonzero().flatten()[:1].tolist():
            raise DataError(f"{batch[row].place}: the sequence is empty: there is nothing to classify. Leave it out.")
        for row in rows_without_known_tokens(model.encoder_, sequences)[:1]:
            raise DataError(f"{batch[row].place}: no token of {_shown(batch[row].sequence)!r} occurs in the training data: nothing to go by. Leave it out.")
        for row in model.predict_encoded(sequences):
            probabilities = {str(label): round(float(each), 6) for label, each in zip(labels, row, strict=True)}
            yield json.dumps({"label": labels[int(row.argmax())], "probabilities": probabilities}, ensure_ascii=False)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    text = "none" if value is None else str(value.tolist() if hasattr(value, "tolist") else value)
    return text if len(text) <= 100 else text[:99] + "…"
