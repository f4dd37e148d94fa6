"""doctor, benchmark."""

from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.arguments import Json
from ostinato.cli.streams import say
from ostinato.printable import to_json


def show_doctor(
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="A run, model file or hf://OWNER/NAME; also shows which engine runs each layer.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show versions, engine, threads, device and missing extras."""
    from ostinato.cli import doctor
    from ostinato.report.terminal import print_table

    facts = doctor.examine()
    if model is not None:
        facts["layers"] = doctor.examine_model(model)
    if as_json:
        say(to_json(facts))
    else:
        print_table(("what", "found"), doctor.rows(facts))
        if model is not None:
            print_table(("layer", "what", "runs on"), [tuple(layer.values()) for layer in facts["layers"]])


def benchmark(
    rows: Annotated[
        list[str] | None, typer.Argument(metavar="[ROW]...", help="Rows to measure; by default six.")
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Measure each row for 30 seconds instead of 2; use this for figures to publish."),
    ] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Also save the figures to this file, with a plot beside it."),
    ] = None,
    every: Annotated[bool, typer.Option("--list", help="List the rows without measuring.")] = False,
) -> None:
    """Time the engines and other libraries on this machine, and show which engine `auto` picks and why."""
    from ostinato.benchmark.program import ON_CUDA, ROWS, USUAL, measure, refuse_unknown
    from ostinato.benchmark.record import save
    from ostinato.cli.doctor import engine_choice

    if every:
        say("\n".join(ROWS))
        return
    names = rows or (USUAL if device == "cpu" else ON_CUDA)
    refuse_unknown(names, device)
    say(engine_choice(device))
    bench = measure(names, quick=not full, device=device)
    if out is not None:
        save(bench.rows, out, quick=not full)
