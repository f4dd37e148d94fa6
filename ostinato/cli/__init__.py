"""The command line: parse, call, print. Everything heavy is imported by the command that needs it.

training      train, evaluate, predict
explaining    explain, trace, report
comparing     compare
tuning        tune
data          data list, data show, data audit; init and schema: configs to start from
machine       doctor, benchmark
arguments     options and arguments that several commands share
"""

import io
import os
import sys
import warnings
from typing import Annotated

import typer

from ostinato.cli import comparing, data, explaining, machine, training, tuning
from ostinato.errors import OstinatoError
from ostinato.threads import limit_program

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

        typer.echo(f"ostinato {__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Recurrent sequence classification, labelling and regression: train, evaluate, predict, explain."""


app.command()(training.train)
app.command()(training.evaluate)
app.command()(training.predict)
app.command()(explaining.explain)
app.command()(explaining.trace)
app.command()(explaining.report)
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
    """Run the command line; our errors print one line each and exit with status 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # print UTF-8 in any locale; unprintable characters are escaped
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    warnings.showwarning = _show_warning
    limit_program()
    try:
        app()
    except OstinatoError as error:
        _fail(str(error))
    except BrokenPipeError:  # the reader of our output stopped, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except OSError as error:  # usually standard output on a full disk
        if error.filename is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # otherwise Python tries again at exit
        _fail(f"{error.filename or 'standard output'}: {error.strerror}. Free some space, or choose another path.")


def _show_warning(message: Warning | str, category: type[Warning], *where: object, **more: object) -> None:
    """Print a warning in one line, without the code that raised it."""
    typer.echo(f"Warning: {message}", err=True)


def _fail(message: str) -> None:
    typer.echo("\n".join(f"Error: {line}" for line in message.splitlines()), err=True)
    sys.exit(2)
