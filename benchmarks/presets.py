"""The test score of the presets next to their baselines, over several seeds, and the seconds per epoch.

    python benchmarks/presets.py                       every preset, 3 seeds: the table in the README
    python benchmarks/presets.py splice --seeds 5
    python benchmarks/presets.py majority --set model.engine=reference

Only `training.seed` changes between runs. Data and splits depend on `data.seed`, so the spread over seeds is that of
the training, and the interval of one run is that of the test split. The runs are stored in --out; the same command
resumes them.
"""

import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import typer

from ostinato import runs
from ostinato.config import to_toml
from ostinato.errors import look_up
from ostinato.progress import Progress
from ostinato.report.terminal import print_table
from ostinato.storage import write_atomically
from ostinato.tasks import TASKS
from ostinato.tasks.config import PRESETS, override
from ostinato.versions import environment

HEADINGS = ("preset", "metric", "test mean", "each seed", "baselines", "seconds an epoch", "epochs")


@dataclass(frozen=True)
class Baseline:
    """The test score of a baseline, and its features and model in words."""

    score: float
    description: str | None


@dataclass(frozen=True)
class PresetResult:
    """A preset's runs.

    Args:
        metric: which test metric the scores are.
        scores: of each seed.
        interval_of_first: the 95 % interval of the first seed's score; None if the metric has none.
        baselines: on the same test split.
        test_rows: the number of test examples.
        seconds_per_epoch, epochs: of each seed.
        settings: changes to the preset.
    """

    metric: str
    scores: list[float]
    interval_of_first: tuple[float, float] | None
    baselines: dict[str, Baseline]
    test_rows: int
    seconds_per_epoch: list[float]
    epochs: list[int]
    settings: list[str]

    def cells(self) -> tuple[str, ...]:
        """The cells under `HEADINGS`, without the preset's name."""
        return (
            self.metric,
            f"{mean(self.scores):.3f}",
            " ".join(f"{score:.3f}" for score in self.scores),
            ", ".join(f"{name} {baseline.score:.3f}" for name, baseline in self.baselines.items()),
            f"{mean(self.seconds_per_epoch):.2f}",
            " ".join(map(str, self.epochs)),
        )


def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="[PRESET]...")] = None,
    seeds: int = 3,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="TABLE.KEY=VALUE")] = None,
    out: Path = Path("runs/benchmark"),
    save: Path | None = None,
) -> None:
    """Train each preset once per seed and print one line per preset; --save FILE also writes JSON."""
    results = {name: measure(name, seeds, settings or [], out) for name in names or PRESETS}
    print_table(HEADINGS, [(name, *result.cells()) for name, result in results.items()])
    if save is not None:
        record = {"date": date.today().isoformat(), **environment()}
        record["results"] = {name: asdict(result) for name, result in results.items()}
        write_atomically(save, json.dumps(record, indent=2) + "\n")


def measure(name: str, seeds: int, settings: list[str], out: Path) -> PresetResult:
    """The result of one preset."""
    preset = look_up(PRESETS, name, "preset")()
    metric = TASKS[preset.task].main_metric(preset)
    metrics = []
    for seed in range(seeds):
        changed = [setting.partition(".")[2] for setting in settings]
        config = override(preset, [*settings, f"training.seed={seed}"])
        progress = Progress(label=f"{name}, seed {seed}")
        metrics.append(train(config, out / "-".join([name, *changed, str(seed)]), progress))
    test, baselines = metrics[0]["test"], metrics[0]["baselines"]
    return PresetResult(
        metric,
        [each["test"][metric] for each in metrics],
        test["intervals"].get(metric),
        {baseline: Baseline(each[metric], each["description"]) for baseline, each in baselines.items()},
        test["n"],
        [each["training"]["seconds_per_epoch"] for each in metrics],
        [each["training"]["epochs"] for each in metrics],
        settings,
    )


def train(config: Any, folder: Path, progress: Progress) -> dict[str, Any]:
    """The metrics of a finished run; trains or resumes it if needed."""
    file = folder / "config.toml"
    if file.exists() and file.read_text(encoding="utf-8") == to_toml(config):
        return runs.resume_run(folder, progress=progress)
    return runs.start_run(config, folder, progress=progress)


if __name__ == "__main__":
    typer.run(main)
