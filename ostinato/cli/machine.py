"""doctor."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.arguments import Json


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
