"""Test accuracy of the wide part alone, of a bidirectional GRU, and of both, next to the linear baseline.

python benchmarks/wide.py splice promoters peptides japanese-vowels basic-motions imdb

Each line is the mean over three splits and seeds; `imdb` has 3,000 training reviews.
"""

import statistics
import time
from typing import Any

import typer

from ostinato.config import Config, SequenceData, SequenceModel, TrainingConfig
from ostinato.data.files import installed_file
from ostinato.errors import DataError
from ostinato.report.terminal import print_table
from ostinato.tasks import TASKS
from ostinato.tasks.config import parse_config
from ostinato.tasks.records import Model

SPLITS: dict[str, dict[str, Any]] = {
    "imdb": {"train_size": 3000, "validation_size": 500, "test_size": 2000, "max_length": 400, "truncate": "both"},
    "promoters": {"validation_size": 0.15},
    "japanese-vowels": {"validation_size": 0.15},
}
SERIES = {"japanese-vowels", "basic-motions"}
MODELS = ("linear baseline", "wide alone", "GRU", "GRU and wide")
HEADINGS = ("data", "model", "test accuracy", "log loss", "seconds")


def main(names: list[str], seeds: int = 3) -> None:
    """Train each model on each named set and print one line per model."""
    for name in names:
        rows = [measure(name, seed) for seed in range(seeds)]
        lines = [
            (name, model, *(statistics.mean(row[model][at] for row in rows) for at in range(3))) for model in MODELS
        ]
        print_table(HEADINGS, [(*line[:2], f"{line[2]:.3f}", f"{line[3]:.3f}", f"{line[4]:.0f}") for line in lines])


def measure(name: str, seed: int) -> dict[str, tuple[float, float, float]]:
    """Accuracy, log loss and seconds of each model, on one split."""
    task = TASKS["classification"]
    wide = "kernels" if name in SERIES else "ngrams"
    data = task.prepare(config_of(name, seed, {}).data)
    start = time.perf_counter()
    linear = task.score_baselines(data, print)["linear"].to_json()
    found = {MODELS[0]: (linear["accuracy"], linear["log_loss"], time.perf_counter() - start)}
    for label, model in zip(MODELS[1:], ({"cell": "none", "wide": wide}, GRU, {**GRU, "wide": wide}), strict=True):
        config = task.settle(config_of(name, seed, model), data)
        start = time.perf_counter()
        network = task.fit(config, data).network
        seconds = time.perf_counter() - start
        outputs = task.outputs(network, data.splits["test"])
        trained = Model(task, config, data.encoder, data.codec, network)
        scores = task.score(trained, data.rows["test"], data.splits["test"], outputs).to_json()
        found[label] = (scores["accuracy"], scores["log_loss"], seconds)
    return found


GRU: dict[str, Any] = {
    "cell": "gru",
    "embedding_size": 32,
    "hidden_size": 48,
    "bidirectional": True,
    "pooling": ["mean", "max"],
    "dropout": 0.3,
}


def config_of(name: str, seed: int, model: dict[str, Any]) -> Config:
    """The same training for all sets; batches are smaller where there are few rows."""
    data: dict[str, Any] = {"name": name, **SequenceData.OLD_DEFAULTS, **SPLITS.get(name, {}), "seed": seed}
    if name == "basic-motions":
        folder = installed_file("aeon", "datasets", "data", "BasicMotions")
        if folder is None:
            raise DataError("basic-motions: not found. Install: pip install --no-deps aeon")
        paths = {key: str(folder / f"BasicMotions_{half}.ts") for key, half in HALVES.items()}
        data = {**SequenceData.OLD_DEFAULTS, **paths, "validation_size": 0.2, "seed": seed}
    aligned = {"position": "learned"} if model.get("cell") == "gru" and name in ("splice", "promoters") else {}
    small = name in ("promoters", "basic-motions", "japanese-vowels")
    training = {"max_epochs": 6 if name == "imdb" else 15, "lr": 3e-3, "batch_size": 16 if small else 64, "seed": seed}
    model = {**SequenceModel.OLD_DEFAULTS, **model, **aligned}
    return parse_config({"data": data, "model": model, "training": {**TrainingConfig.OLD_DEFAULTS, **training}})


HALVES = {"path": "TRAIN", "test_path": "TEST"}

if __name__ == "__main__":
    typer.run(main)
