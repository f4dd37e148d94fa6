"""Few labelled reviews with many unlabelled ones: baselines, a network from scratch, and self-training.

    python benchmarks/few_labels.py --labels 500 2000 --unlabelled 5000 --out benchmarks/results/few_labels.json

The rows are those of the preset `imdb`: 500 to validate on, 5,000 to test. The unlabelled reviews are others of the
same file, without their labels, which only tell afterwards how often the teacher was right. Both networks are the same
model with the same settings except the number of epochs, as one of them has many more rows.
"""

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from ostinato import runs
from ostinato.data.imdb import read_imdb
from ostinato.storage import load_tensors
from ostinato.tasks import TASKS
from ostinato.tasks.config import parse_config

TASK = TASKS["classification"]
MODEL = {
    "embedding_size": 64,
    "hidden_size": 64,
    "bidirectional": True,
    "pooling": ["last", "mean", "max"],
    "dropout": 0.3,
}
TRAINING = {"lr": 0.002, "batch_size": 32, "patience": 3}
EPOCHS = {"scratch": 12, "self-training": 4}


def config_of(labels: int, seed: int, unlabelled: Path | None) -> Any:
    data = TASK.presets["imdb"]().data
    values = data.model_dump(exclude_none=True) | {
        "train_fraction": min(1.0, labels / int(data.train_size or 1)),
        "max_length": 200,
        "truncate": "both",
        "max_size": 20_000,
    }
    kind = "scratch" if unlabelled is None else "self-training"
    training = {**TRAINING, "max_epochs": EPOCHS[kind], "seed": seed}
    if unlabelled is not None:
        values |= {"unlabelled": str(unlabelled)}
        training |= {"semi": "self-training"}
    return parse_config({"task": "classification", "data": values, "model": MODEL, "training": training})


def write_unlabelled(path: Path, count: int) -> dict[str, str]:
    """Write reviews that no split of the preset has; return the hidden label of each."""
    data = TASK.prepare(TASK.presets["imdb"]().data)
    used = {sequence for rows in data.rows.values() for sequence in rows.sequences}
    hidden = {record.sequence: record.target for record in read_imdb()[1] if record.sequence not in used}
    chosen = random.Random(0).sample(sorted(hidden), count)
    path.write_text("".join(json.dumps({"text": each}) + "\n" for each in chosen), encoding="utf-8")
    return {each: hidden[each] for each in chosen}


def teacher_facts(folder: Path, config: Any, hidden: dict[str, str]) -> dict[str, Any]:
    """The members of a run's teacher, and its accuracy on the hidden labels."""
    stored = load_tensors(folder / "checkpoints" / "teacher.safetensors")
    data = TASK.prepare(config.data)
    assert data.unlabelled is not None
    truth = [data.codec.labels.index(hidden[each]) for each in data.unlabelled.sequences]
    right = stored.tensors["labels"].argmax(dim=1).numpy() == truth
    return {"members": stored.facts["members"], "accuracy": float(right.mean()), "rows": len(right)}


def measure(labels: int, seed: int, unlabelled: Path, hidden: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"labels": labels, "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        for kind, extra in (("scratch", None), ("self-training", unlabelled)):
            config, out, started = config_of(labels, seed, extra), Path(folder) / kind, time.process_time()
            metrics = runs.start_run(config, out)
            found[kind] = {
                "test": metrics["test"]["accuracy"],
                "interval": metrics["test"]["intervals"]["accuracy"],
                "validation": metrics["validation"]["accuracy"],
                "cpu_seconds": round(time.process_time() - started, 1),
            }
            for name in ("linear", "nbsvm"):
                scores = metrics["baselines"][name]
                found[name] = {"test": scores["accuracy"], "validation": scores["validation_score"]}
            if extra is not None:
                found["teacher"] = teacher_facts(out, config, hidden)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--unlabelled", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/few_labels.json"))
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "unlabelled.jsonl"
        hidden = write_unlabelled(path, arguments.unlabelled)
        for labels in arguments.labels:
            for seed in range(arguments.seeds):
                rows.append(measure(labels, seed, path, hidden))
                print(json.dumps(rows[-1]), flush=True)
                result = {"unlabelled": arguments.unlabelled, "rows": rows}
                arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
