"""The command line: parse, call, print. Everything heavy is imported by the command that needs it.

training      train, evaluate, predict
portfolio     train FILE
pretraining   pretrain
explaining    explain, trace, report
following     predict --follow
bulk          predict --on ray
exporting     export
hub           push
serving       serve
ensembling    ensemble
comparing     compare
tuning        tune
asking        new
data          data list, data show, data audit; init and schema: configs to start from
machine       doctor, benchmark
arguments     options and arguments that several commands share
pages         the page of the documentation that explains an error
ranks         processes of torchrun
streams       standard input, output and error
"""

import sys
import warnings
from typing import Annotated, NoReturn

import typer

from ostinato.cli import (
    asking,
    comparing,
    data,
    ensembling,
    explaining,
    exporting,
    hub,
    machine,
    pages,
    pretraining,
    serving,
    streams,
    training,
    tuning,
)
from ostinato.cli.ranks import refuse_several_ranks
from ostinato.cli.streams import INTERRUPTED, say
from ostinato.errors import OstinatoError
from ostinato.printable import to_json
from ostinato.threads import limit_program

UsageError: type[Exception] = typer.BadParameter.__bases__[0]  # click's, or the copy that newer versions of typer have

START = """\
Ostinato trains models of text, DNA, events and time series, and measures how good they are.

  ostinato train reviews.csv             compare models on your own file for ten minutes, and keep the best
  ostinato train dna                     no file at hand? this preset generates its data
  ostinato predict runs/dna --text ACGT  use the model that was trained
  ostinato new                           answer questions, and get the command for your file

More:

  ostinato --help                        all commands
  ostinato train --help                  one command: its arguments, its options and an example"""

START_DATA = """\
Ostinato comes with named data sets, and audits any data before you train.

  ostinato data audit reviews.csv   classes, lengths, duplicates and leaks of your own file
  ostinato data list                the named data sets
  ostinato data show splice         one of them: its source and first rows

More:

  ostinato data audit --help        one command: its arguments, its options and an example"""

app = typer.Typer(
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    rich_markup_mode=None,  # rich would double the time that --help takes
    epilog="Example: ostinato train reviews.csv",
)
data_app = typer.Typer(invoke_without_command=True, epilog="Example: ostinato data show splice")


def _show_version(wanted: bool) -> None:
    if wanted:
        from ostinato.versions import __version__

        say(f"ostinato {__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Recurrent sequence classification, labelling and regression: train, evaluate, predict, explain."""
    if context.invoked_subcommand is None:
        say(START)
    elif context.invoked_subcommand != "train":
        refuse_several_ranks(f"ostinato {context.invoked_subcommand}")


@data_app.callback()
def data_options(context: typer.Context) -> None:
    """Named data sets, and audits of any data."""
    if context.invoked_subcommand is None:
        say(START_DATA)


app.command(epilog="Example: ostinato train reviews.csv --minutes 5")(training.train)
app.command(epilog="Example: ostinato new")(asking.new)
app.command(epilog="Example: ostinato pretrain reviews.csv --out runs/encoder")(pretraining.pretrain)
app.command(epilog="Example: ostinato evaluate runs/reviews new.csv")(training.evaluate)
app.command(epilog='Example: ostinato predict runs/reviews --text "A warm and funny film."')(training.predict)
app.command(epilog='Example: ostinato explain runs/reviews --text "Not good, but I loved it."')(explaining.explain)
app.command(epilog="Example: ostinato trace runs/dna --plot trace.png")(explaining.trace)
app.command(epilog="Example: ostinato report runs/reviews")(explaining.report)
app.command(epilog="Example: ostinato export runs/dna --out dna.onnx")(exporting.export)
app.command(epilog="Example: ostinato push runs/reviews hf://owner/name")(hub.push)
app.command(epilog="Example: ostinato serve reviews=runs/reviews --port 8080")(serving.serve)
app.command(epilog="Example: ostinato ensemble dna --seeds 3")(ensembling.ensemble)
app.command(epilog="Example: ostinato compare dna --vary model.cell=rnn,lstm,gru --seeds 3")(comparing.compare)
app.command(epilog="Example: ostinato tune dna --trials 20")(tuning.tune)
app.command(epilog="Example: ostinato init reviews.csv > config.toml")(data.init)
app.command(epilog="Example: ostinato schema > config.schema.json")(data.schema)
app.command("doctor", epilog="Example: ostinato doctor --model runs/dna")(machine.show_doctor)
app.command(epilog="Example: ostinato benchmark --list")(machine.benchmark)
app.add_typer(data_app, name="data")
data_app.command("list", epilog="Example: ostinato data list")(data.data_list)
data_app.command("show", epilog="Example: ostinato data show splice --rows 3")(data.data_show)
data_app.command("audit", epilog="Example: ostinato data audit reviews.csv")(data.data_audit)


def main() -> None:
    """Run the command line; errors print one line each, then the page that explains them, and exit with status 2."""
    warnings.showwarning = _show_warning
    limit_program()
    try:
        streams.prepare()
        status = app(standalone_mode=False)
    except OstinatoError as error:
        page = pages.page_of(error)
        _fail(str(error), None if page is None else pages.address(page))
    except UsageError as error:
        status = streams.show_usage_error(error)
    except typer.Abort:  # how older versions of typer report Ctrl-C
        status = INTERRUPTED
    except BrokenPipeError:  # the reader of our output stopped, as `| head` does
        streams.abandon(1, 2)
        sys.exit(1)
    except OSError as error:  # usually standard output on a full disk
        if error.filename is None:
            streams.abandon(1)
        _fail(f"{error.filename or 'standard output'}: {error.strerror}. Free some space, or choose another path.")
    sys.exit(status or 0)


def _show_warning(message: Warning | str, category: type[Warning], *where: object, **more: object) -> None:
    """Print a warning in one line, without the code that raised it."""
    say(f"Warning: {message}", err=True)


def _fail(message: str, page: str | None = None) -> NoReturn:
    """Print an error and the address of its page; with --json, standard output gets both for programs, too."""
    lines = [f"Error: {line}" for line in message.split("\n")]
    try:
        if "--json" in sys.argv:
            say(to_json({"error": message, "page": page}))
    except OSError:  # standard output is full or a broken pipe
        streams.abandon(1)
    try:
        say("\n".join(lines if page is None else [*lines, f"See {page}"]), err=True)
    except OSError:  # standard error is full or a broken pipe: only the exit status is left
        streams.abandon(2)
    sys.exit(2)
