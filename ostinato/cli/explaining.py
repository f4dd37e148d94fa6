"""explain, trace, report."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.cli.arguments import FileSettings, Json, load_on, rows_of
from ostinato.cli.streams import say
from ostinato.errors import ConfigError, DataError
from ostinato.printable import to_json

if TYPE_CHECKING:
    from ostinato.tasks.records import Model

DEFAULT_ROWS = 5  # of the test split


def explain(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A finished run folder, a model file, or hf://OWNER/NAME.")
    ],
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE|-", help="A data file, or -; by default rows of the run's own test split."),
    ] = None,
    text: Annotated[list[str] | None, typer.Option(metavar="SEQUENCE", help="A sequence; repeatable.")] = None,
    method: Annotated[
        str, typer.Option(help="Or gradient-x-input, occlusion, attention, in-silico-mutagenesis.")
    ] = "integrated-gradients",
    label: Annotated[
        str | None, typer.Option(help="The class, label or tag to explain; by default the predicted one.")
    ] = None,
    token: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            metavar="N",
            help="For taggers: explain the Nth word of each sentence instead of the entities found; repeatable.",
        ),
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help="At most N rows; by default 5 of the test split, and all of a file.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Also write explanations.json, a page and plots to this folder."),
    ] = None,
    settings: FileSettings = None,
    as_json: Json = False,
) -> None:
    """Show what drove the answers, token by token, and how faithful the explanations are."""
    if file is not None and text:
        raise ConfigError("Give either a FILE (- for standard input) or --text SEQUENCE.")
    from ostinato.explanation import terminal
    from ostinato.progress import Progress

    model = load_on(run, "auto")
    chosen = _rows(model, run, file, text, settings or [], rows)
    tokens = [number - 1 for number in token] if token else None
    explained = model.task.explain_rows(model, chosen, method=method, label=label, tokens=tokens, progress=Progress())
    if out is not None:
        from ostinato.report.explanation_page import write_explanations

        write_explanations(out, explained)
    if as_json:
        say(to_json(explained.to_json()))
    else:
        terminal.print_explained(explained)
    if out is not None:
        say(f"Written: {out / 'explanations.html'}", err=True)


def trace(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A finished run folder, a model file, or hf://OWNER/NAME.")
    ],
    text: Annotated[
        str | None,
        typer.Option(metavar="SEQUENCE", help="The sequence; by default the first row of the run's own test split."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png|svg|pdf", help="Also save a plot to this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Follow a model through a sequence: state, gates and running answer at each step."""
    from ostinato.explanation import terminal

    model = load_on(run, "auto")
    (row,) = _rows(model, run, None, None if text is None else [text], [], 1)
    traced = model.task.trace(model, getattr(row, "sequence", row))
    if plot is not None:
        from ostinato.explanation.plot_trace import plot_trace
        from ostinato.report.gallery import save_figure

        save_figure(plot_trace(traced), plot)
    if as_json:
        say(to_json(traced.to_json()))
    else:
        terminal.print_trace(traced)


def report(run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")]) -> None:
    """Write a run's report.html, its model card, and the plots as files."""
    from ostinato.pretraining.report import report_pretraining
    from ostinato.progress import Progress
    from ostinato.runs.folder import is_pretraining
    from ostinato.runs.report import report_run

    page = report_pretraining(run) if is_pretraining(run) else report_run(run, progress=Progress())
    say(f"Written: {page}")


def _rows(
    model: "Model", run: Path, file: str | None, text: list[str] | None, settings: list[str], count: int | None
) -> Sequence[Any]:
    """The rows to explain: of a file or of --text, otherwise of the run's own test split.

    Raises:
        DataError: there is no row, or one that cannot be read.
    """
    if file is None and text is None:
        from ostinato.runs import test_rows

        return model.task.rows_to_explain(model, test_rows(run), count or DEFAULT_ROWS)
    rows = list(islice(rows_of(model, run, file, text, settings), count))
    for row in rows:
        if isinstance(row, DataError):
            raise row
    if not rows:
        raise DataError("there are no rows to explain. Give at least one.")
    return rows
