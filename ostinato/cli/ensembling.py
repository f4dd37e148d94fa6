"""ensemble."""

from pathlib import Path
from typing import Annotated

import typer

from ostinato.cli.arguments import Json, Settings, config_of, new_folder
from ostinato.cli.streams import INTERRUPTED, say
from ostinato.errors import ConfigError
from ostinato.printable import to_json


def ensemble(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN…|CONFIG.TOML|PRESET", help="Finished runs; with --seeds, the config or preset to train."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="The run folder to create; by default runs/ensemble.")] = None,
    weights: Annotated[
        str,
        typer.Option(help="equal, or validation: those with the lowest loss on the validation split."),
    ] = "equal",
    seeds: Annotated[
        int | None, typer.Option(help="Train a config or preset with this many seeds, and join the models.")
    ] = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Join models into one that averages their answers, in a run folder of its own.

    The runs must have the same task, targets, validation rows and test rows; tokenizers, cells and sizes may differ.
    """
    if seeds is None and settings:
        raise ConfigError(f"--set {settings[0]}: only with --seeds. The runs are trained already. Remove it.")
    if seeds is None and len(what) == 1:
        raise ConfigError(
            f"{what[0]}: an ensemble has at least two models. Name another run; or, to train a config or preset "
            "several times, add --seeds 3."
        )
    if seeds is not None and len(what) > 1:
        raise ConfigError(f"--seeds {seeds}: give one config or preset to train, and not {len(what)}.")
    config = None if seeds is None else config_of(what[0], settings or [])[0]  # before PyTorch is imported
    from ostinato.progress import Progress
    from ostinato.runs.ensembles import ensemble_runs, show_ensemble, train_members

    folder, progress = new_folder(out, "ensemble"), Progress()
    try:
        if config is None or seeds is None:
            runs = list(map(Path, what))
        else:
            runs = train_members(config, seeds, folder, progress=progress)
        metrics = ensemble_runs(runs, folder, weights=weights, progress=progress)
    except KeyboardInterrupt:
        progress.say("Stopped. The same command continues." if seeds else "Stopped. Nothing was written.")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        say(to_json({"run": str(folder), **metrics}))
    else:
        show_ensemble(folder, metrics)
