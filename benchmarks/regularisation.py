"""What each kind of regularisation brings on few rows: the table in docs/regularisation.md.

    python benchmarks/regularisation.py    about ten minutes of one core; the same command resumes

Each is compared with the same training without, by `ostinato compare` over three seeds, on 500 splice windows.
"""

import json
import subprocess
import sys
from pathlib import Path

import typer

from ostinato.report.terminal import print_table

COMMON = (
    "data.train_size=500",
    "data.validation_size=500",
    "data.test_size=2000",
    "model.cell=gru",
    "training.lr=0.01",
    "training.batch_size=16",
    "training.max_epochs=10",
    "training.patience=none",
    "training.ema_decay=none",
)
COMPARED = {  # what is varied, and the settings of both sides
    "model.weight_dropout=0.0,0.3": (),
    "model.embedding_dropout=0.0,0.1": (),
    "model.word_dropout=0.0,0.1": (),
    "training.r_drop=0.0,1.0": (),
    "training.adversarial=none,supervised,virtual": (),
    "training.swa_start=none,6": ("training.schedule=constant",),
}


def main(out: Path = Path("runs/regularisation"), seeds: int = 3, jobs: int = 1) -> None:
    """Print the mean accuracy with and without each, and the difference with its 95 % interval."""
    lines = []
    for varied, own in COMPARED.items():
        folder = out / varied.partition("=")[0]
        if not (folder / "comparison.json").exists():
            settings = [part for setting in (*COMMON, *own) for part in ("--set", setting)]
            options = ["--vary", varied, "--seeds", str(seeds), "--jobs", str(jobs), "--out", str(folder), *settings]
            subprocess.run([sys.executable, "-m", "ostinato", "compare", "splice", *options], check=True)
        lines += read(folder / "comparison.json")
    print_table(("", "accuracy", "log loss", "minus without", "95 % interval", "p", "s"), lines)


def read(path: Path) -> list[tuple[str, ...]]:
    """A line for each setting of a comparison."""
    found = json.loads(path.read_text(encoding="utf-8"))
    plain = next(each["name"] for each in found["summary"] if each["name"].split()[-1] in ("none", "0.0"))
    lines = []
    for each in found["summary"]:
        losses = [run["test"]["log_loss"] for run in found["runs"] if run["settings"] == each["settings"]]
        values = (each["name"], f"{each['mean']:.3f}", f"{sum(losses) / len(losses):.3f}")
        difference = ("", "", "")
        for pair in found["pairs"]:
            if {pair["first"], pair["second"]} == {plain, each["name"]}:
                sign = 1 if pair["first"] == each["name"] else -1
                low, high = sorted(sign * bound for bound in pair["interval"])
                difference = (f"{sign * pair['difference']:+.3f}", f"{low:+.3f} to {high:+.3f}", f"{pair['p']:.2f}")
        lines.append((*values, *difference, f"{each['training_s']:.0f}"))
    return lines


if __name__ == "__main__":
    typer.run(main)
