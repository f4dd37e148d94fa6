"""The command line: parse, call, print. Everything heavy is imported by the command that needs it.

training      train, evaluate, predict
portfolio     train FILE
pretraining   pretrain
explaining    explain, trace, report
following     predict --follow
exporting     export
serving       serve
ensembling    ensemble
comparing     compare
tuning        tune
data          data list, data show, data audit; init and schema: configs to start from
machine       doctor, benchmark
arguments     options and arguments that several commands share
streams       standard input, output and error
"""

import sys
import warnings
from typing import Annotated, NoReturn

import typer

from ostinato.cli import (
    comparing,
    data,
    ensembling,
    explaining,
    exporting,
    machine,
    pretraining,
    serving,
    streams,
    training,
    tuning,
)
from ostinato.cli.streams import say
from ostinato.errors import OstinatoError
from ostinato.threads import limit_program

UsageError: type[Exception] = typer.BadParameter.__bases__[0]  # click's, or the copy that newer versions of typer have
INTERRUPTED = 130  # exit status after Ctrl-C

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # rich would double the time that --help takes
)
data_app = typer.Typer(help="Named data sets, and audits of any data.", no_args_is_help=True)


def _show_version(wanted: bool) -> None:
    if wanted:
        from ostinato.versions import __version__

        say(f"ostinato {__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Recurrent sequence classification, labelling and regression: train, evaluate, predict, explain."""


app.command()(training.train)
app.command()(pretraining.pretrain)
app.command()(training.evaluate)
app.command()(training.predict)
app.command()(explaining.explain)
app.command()(explaining.trace)
app.command()(explaining.report)
app.command()(exporting.export)
app.command()(serving.serve)
app.command()(ensembling.ensemble)
app.command()(comparing.compare)
app.command()(tuning.tune)
app.command()(data.init)
app.command()(data.schema)
app.command("doctor")(machine.show_doctor)
app.command()(machine.benchmark)
app.add_typer(data_app, name="data")
data_app.command("list")(data.data_list)
data_app.command("show")(data.data_show)
data_app.command("audit")(data.data_audit)


def main() -> None:
    """Run the command line; errors print one line each and exit with status 2."""
    warnings.showwarning = _show_warning
    limit_program()
    try:
        streams.prepare()
        status = app(standalone_mode=False)
    except OstinatoError as error:
        _fail(str(error))
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


def _fail(message: str) -> NoReturn:
    try:
        say("\n".join(f"Error: {line}" for line in message.split("\n")), err=True)
    except OSError:  # standard error is full or a broken pipe: only the exit status is left
        streams.abandon(2)
    sys.exit(2)
