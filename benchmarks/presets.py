"""The accuracy of the presets next to their baselines, over seeds, and the seconds an epoch takes.

    python benchmarks/presets.py                       every preset, 3 seeds: the table that the README quotes
    python benchmarks/presets.py splice --seeds 5
    python benchmarks/presets.py majority --set model.engine=reference

`training.seed` changes from run to run; data and splits stay (they follow `data.seed`), so the spread over seeds is
the training's own and the interval of one run is the test split's. Runs go to a folder of their own and are resumed
when the same command is given again.
"""

import json
from datetime import date
from pathlib import Path
from statistics import mean
from typing import Annotated

import typer

from ostinato import runs
from ostinato.config import to_toml
from ostinato.errors import look_up
from ostinato.progress import Progress
from ostinato.report.terminal import print_table
from ostinato.tasks.classification.presets import PRESETS
from ostinato.tasks.config import override
from ostinato.versions import environment

HEADINGS = ("preset", "mean test accuracy", "of each seed", "linear", "majority", "seconds an epoch", "epochs")


def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="[PRESET]...")] = None,
    seeds: int = 3,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="TABLE.KEY=VALUE")] = None,
    out: Path = Path("runs/benchmark"),
    save: Path | None = None,
) -> None:
    """Train each preset once a seed and print one line a preset; --save FILE keeps it as JSON."""
    results = {name: measure(name, seeds, settings or [], out) for name in names or PRESETS}
    print_table(HEADINGS, [row(name, each) for name, each in results.items()])
    if save is not None:
        save.write_text(
            json.dumps({"date": date.today().isoformat(), **environment(), "results": results}, indent=2) + "\n"
        )


def measure(name: str, seeds: int, settings: list[str], out: Path) -> dict:
    figures = []
    for seed in range(seeds):
        config = override(look_up(PRESETS, name, "preset")(), [*settings, f"training.seed={seed}"])
        folder = out / "-".join([name, *(setting.partition(".")[2] for setting in settings), str(seed)])
        progress = Progress(label=f"{name}, seed {seed}")
        same = (folder / "config.toml").exists() and (folder / "config.toml").read_text() == to_toml(config)
        figures.append(
            runs.resume_run(folder, progress=progress) if same else runs.start_run(config, folder, progress=progress)
        )
    return {
        "accuracies": [each["test"]["accuracy"] for each in figures],
        "interval_of_first": figures[0]["test"]["intervals"]["accuracy"],
        "linear": figures[0]["baselines"]["linear"]["accuracy"],
        "linear_description": figures[0]["baselines"]["linear"]["description"],
        "majority": figures[0]["baselines"]["majority"]["accuracy"],
        "test_rows": figures[0]["test"]["n"],
        "seconds_per_epoch": [each["training"]["seconds_per_epoch"] for each in figures],
        "epochs": [each["training"]["epochs"] for each in figures],
        "settings": settings,
    }


def row(name: str, result: dict) -> tuple[str, ...]:
    each = " ".join(f"{accuracy:.3f}" for accuracy in result["accuracies"])
    beaten = (f"{result['linear']:.3f}", f"{result['majority']:.3f}")
    return (
        name,
        f"{mean(result['accuracies']):.3f}",
        each,
        *beaten,
        f"{mean(result['seconds_per_epoch']):.2f}",
        str(result["epochs"]),
    )


if __name__ == "__main__":
    typer.run(main)
