"""Models with recurrent weights in int8 next to the same models in float32: test accuracy, and how many answers change.

    python benchmarks/quantized.py    writes results/quantized.json; trains six models once, eight minutes on two cores

The runs are stored in --out; the same command resumes them.
"""

import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np
import typer

from ostinato import load, runs
from ostinato.nn import use_precision
from ostinato.progress import Progress
from ostinato.report.terminal import print_table
from ostinato.storage import write_atomically
from ostinato.tasks import TASKS
from ostinato.tasks.config import PRESETS, override
from ostinato.versions import environment

RESULTS = Path(__file__).parent / "results" / "quantized.json"
NAMES = ("majority", "delayed-recall", "dna-order", "splice")
MODELS = {
    **{name: (name, []) for name in NAMES},
    "delayed-recall, 256 units": ("delayed-recall", ["model.hidden_size=256"]),
    "splice, GRU 256 units": ("splice", ["model.cell=gru", "model.hidden_size=256"]),
}
HEADINGS = ("model", "cell", "units", "test rows", "float32", "int8", "changed", "largest change of a probability")


@dataclass(frozen=True)
class Comparison:
    """One model's answers in both precisions.

    Args:
        float32, int8: the accuracy on the test split.
        changed: how many test rows have another predicted class.
        largest_change: of the probability of a class.
    """

    cell: str
    units: int
    test_rows: int
    float32: float
    int8: float
    changed: int
    largest_change: float


def main(out: Path = Path("runs/quantized"), save: Path = RESULTS) -> None:
    """Train each model once, compare its answers, print a table, and write it to --save."""
    results = {name: compare(name, out / name.replace(", ", "-").replace(" ", "-")) for name in MODELS}
    print_table(HEADINGS, [(name, *cells(result)) for name, result in results.items()])
    record = {"date": date.today().isoformat(), **environment()}
    record["results"] = {name: asdict(result) for name, result in results.items()}
    write_atomically(save, json.dumps(record, indent=2) + "\n")


def compare(name: str, folder: Path) -> Comparison:
    """Train a model if needed, and answer its test split twice."""
    preset, settings = MODELS[name]
    config, progress = override(PRESETS[preset](), settings), Progress(label=name)
    if folder.exists():
        runs.resume_run(folder, progress=progress)
    else:
        runs.start_run(config, folder, progress=progress)
    model, rows = load(folder), TASKS[config.task].prepare(config.data).rows["test"]
    exact = np.asarray(model.predict_proba(rows.sequences))
    with use_precision("int8"):
        rounded = np.asarray(model.predict_proba(rows.sequences))
        score = model.score(rows.sequences, rows.targets)
    return Comparison(
        config.model.cell,
        config.model.hidden_size,
        len(rows.targets),
        model.score(rows.sequences, rows.targets),
        score,
        int((exact.argmax(1) != rounded.argmax(1)).sum()),
        float(abs(exact - rounded).max()),
    )


def cells(result: Comparison) -> tuple[str, ...]:
    """The cells under `HEADINGS`, without the model's name."""
    accuracies = (f"{result.float32:.4f}", f"{result.int8:.4f}")
    numbers = (str(result.units), str(result.test_rows), *accuracies, str(result.changed))
    return (result.cell, *numbers, f"{result.largest_change:.4f}")


if __name__ == "__main__":
    typer.run(main)
