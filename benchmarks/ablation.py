"""What the language model and the soft labels of `imdb-pretrained` add: with and without each, over seeds.

    ostinato pretrain imdb-encoder --out runs/imdb-encoder
    python benchmarks/ablation.py --encoder runs/imdb-encoder --json benchmarks/results/ablation.json

Four models with the same layers and the same 2,000 labels. With the language model, the layers and the vocabulary start
from it; without, the weights are random. With soft labels, the model also reads the unlabelled reviews, as a teacher
labels them, for two epochs as in the preset; without, it reads the 2,000 alone, for up to ten epochs. Validation picks
the epoch, and the test split is scored once for each model and seed. The runs are kept in --out, so the same command
continues where it was stopped: about 17 minutes of one core for a model with soft labels, and 5 to 8 for one without.
"""

import json
from dataclasses import asdict, dataclass
from datetime import date
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import typer

from ostinato import runs
from ostinato.report.terminal import print_table
from ostinato.storage import write_atomically
from ostinato.tasks import TASKS
from ostinato.tasks.config import Config, override
from ostinato.versions import environment

PRESET = TASKS["classification"].presets["imdb-pretrained"]
HARD_LABELS = ("data.unlabelled=none", "training.semi=none", "training.max_epochs=10", "training.patience=3")


@dataclass(frozen=True)
class Result:
    """Accuracy of one model, with its 95 % interval, and its paired comparison with each fitted baseline."""

    language_model: bool
    soft_labels: bool
    seed: int
    validation: float
    test: float
    interval: tuple[float, float]
    versus: dict[str, Any]
    epochs: int


def config_of(language_model: bool, soft_labels: bool, seed: int, encoder: Path) -> Config:
    size = PRESET().model.hidden_size
    random_weights = ("model.init=none", f"model.embedding_size={size}", f"model.hidden_size={size}")
    settings = (f"model.init={encoder}",) if language_model else random_weights
    return override(PRESET(), [*settings, *(() if soft_labels else HARD_LABELS), f"training.seed={seed}"])


def measure(language_model: bool, soft_labels: bool, seed: int, encoder: Path, out: Path) -> Result:
    config = config_of(language_model, soft_labels, seed, encoder)
    parts = ["language-model"] * language_model + ["soft-labels"] * soft_labels
    folder = out / f"{'-'.join(parts) or 'neither'}-{seed}"
    metrics = runs.resume_run(folder) if folder.exists() else runs.start_run(config, folder)
    versus = {name: scores["versus"] for name, scores in metrics["baselines"].items() if scores["versus"]}
    return Result(
        language_model,
        soft_labels,
        seed,
        validation=metrics["validation"]["accuracy"],
        test=metrics["test"]["accuracy"],
        interval=metrics["test"]["intervals"]["accuracy"],
        versus=versus,
        epochs=metrics["training"]["epochs"],
    )


def main(
    encoder: Annotated[Path, typer.Option(help="The language model.")],
    seeds: int = 3,
    out: Path = Path("runs/ablation"),
    as_json: Annotated[Path | None, typer.Option("--json", help="Write the results to this file.")] = None,
) -> None:
    """Train and score the four models with each seed."""
    results = []
    for soft_labels, language_model, seed in product((False, True), (False, True), range(seeds)):
        results.append(measure(language_model, soft_labels, seed, encoder, out))
        print(f"{out}: {json.dumps(asdict(results[-1]))}", flush=True)
        if as_json is not None:
            record = {"date": date.today().isoformat(), **environment(), "results": [asdict(each) for each in results]}
            write_atomically(as_json, json.dumps(record, indent=1) + "\n")
    print_table(("language model", "soft labels", "test accuracy", "SD"), [*summary(results)])


def summary(results: list[Result]) -> Any:
    """A line for each model: its mean over the seeds and their standard deviation."""
    for key in dict.fromkeys((each.language_model, each.soft_labels) for each in results):
        scores = [each.test for each in results if (each.language_model, each.soft_labels) == key]
        spread = f"{stdev(scores):.4f}" if len(scores) > 1 else ""
        yield *("yes" if each else "no" for each in key), f"{mean(scores):.4f}", spread


if __name__ == "__main__":
    typer.run(main)
