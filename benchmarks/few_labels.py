"""From few labels to many: baselines, and networks from scratch, wide, pre-trained and self-trained.

    python benchmarks/few_labels.py --encoder runs/imdb-encoder --out benchmarks/results/few_labels.json

The rows are those of the presets `imdb` and, beyond 2,000 labels, `imdb-full`: 500 to validate on, 5,000 to test. The
unlabelled reviews are others of the same file, without their labels, which only tell afterwards how often the teacher
was right. Networks from scratch, wide and self-trained are the same model with the same settings, except the number of
epochs, as self-training has many more rows. The pre-trained one has the layers of the encoder. Finished rows of --out
are not measured again.
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
MODEL: dict[str, Any] = {
    "embedding_size": 64,
    "hidden_size": 64,
    "bidirectional": True,
    "pooling": ["last", "mean", "max"],
    "dropout": 0.3,
}
LAYERS = ("embedding_size", "hidden_size", "bidirectional")  # of the encoder
TRAINING: dict[str, Any] = {"lr": 0.002, "batch_size": 32, "patience": 3}
EPOCHS = {"scratch": 12, "wide": 12, "pretrained": 4, "self-training": 4}
FEW = 2000  # labels: the training split of the preset imdb


def config_of(kind: str, labels: int, seed: int, unlabelled: Path, encoder: Path | None) -> Any:
    data = TASK.presets["imdb" if labels <= FEW else "imdb-full"]().data
    values = data.model_dump(exclude_none=True) | {
        "train_fraction": min(1.0, labels / int(data.train_size or 1)),
        "max_length": 200,
        "truncate": "both",
        "max_size": 20_000,
    }
    values.pop("unlabelled", None)
    model, training = dict(MODEL), {**TRAINING, "max_epochs": EPOCHS[kind], "seed": seed}
    if kind == "wide":
        model["wide"] = "ngrams"
    elif kind == "pretrained":
        model = {key: value for key, value in MODEL.items() if key not in LAYERS} | {"init": str(encoder)}
    elif kind == "self-training":
        values["unlabelled"], training["semi"] = str(unlabelled), "self-training"
    return parse_config({"task": "classification", "data": values, "model": model, "training": training})


def write_unlabelled(path: Path, count: int) -> dict[str, str]:
    """Write reviews that no split of the presets scores; return the hidden label of each."""
    used: set[str] = set()
    for preset in ("imdb", "imdb-full"):
        rows = TASK.prepare(TASK.presets[preset]().data).rows
        used |= {sequence for name in rows if preset == "imdb" or name != "train" for sequence in rows[name].sequences}
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


def measure(
    kind: str, labels: int, seed: int, unlabelled: Path, hidden: dict[str, str], encoder: Path | None
) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": kind, "labels": labels, "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        config, out, started = (
            config_of(kind, labels, seed, unlabelled, encoder),
            Path(folder) / "run",
            time.process_time(),
        )
        metrics = runs.start_run(config, out)
        found |= {
            "test": metrics["test"]["accuracy"],
            "interval": metrics["test"]["intervals"]["accuracy"],
            "validation": metrics["validation"]["accuracy"],
            "cpu_seconds": round(time.process_time() - started, 1),
        }
        for name in ("linear", "nbsvm"):
            scores = metrics["baselines"][name]
            found[name] = {"test": scores["accuracy"], "validation": scores["validation_score"]}
        if kind == "self-training":
            found["teacher"] = teacher_facts(out, config, hidden)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 500, 2000])
    parser.add_argument("--kinds", nargs="+", choices=sorted(EPOCHS), default=sorted(EPOCHS))
    parser.add_argument("--encoder", type=Path, help="a pre-training, for the kind pretrained")
    parser.add_argument("--unlabelled", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/few_labels.json"))
    arguments = parser.parse_args()
    if "pretrained" in arguments.kinds and arguments.encoder is None:
        parser.error("--kinds pretrained needs --encoder FOLDER; make it with: ostinato pretrain imdb-encoder")
    rows = json.loads(arguments.out.read_text(encoding="utf-8"))["rows"] if arguments.out.exists() else []
    done = {(row["kind"], row["labels"], row["seed"]) for row in rows}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "unlabelled.jsonl"
        hidden = write_unlabelled(path, arguments.unlabelled)
        for labels in arguments.labels:
            for kind in arguments.kinds:
                for seed in range(arguments.seeds):
                    if (kind, labels, seed) in done:
                        continue
                    rows.append(measure(kind, labels, seed, path, hidden, arguments.encoder))
                    print(json.dumps(rows[-1]), flush=True)
                    result = {"unlabelled": arguments.unlabelled, "rows": rows}
                    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
