"""Models trained at one length and tested at longer ones: did they learn the rule, or the length?

    python benchmarks/lengths.py            three models of `majority`, trained at length 20

The longer strings are generated with another seed. Each model is trained once.
"""

from pathlib import Path

import typer

from ostinato import load, runs
from ostinato.data.examples import Records
from ostinato.progress import Progress
from ostinato.report.terminal import print_table
from ostinato.tasks import TASKS
from ostinato.tasks.config import PRESETS, override

LENGTHS = (20, 50, 200, 1000)
MODELS = {"rnn, last": "model.cell=rnn", "rnn, mean": "model.pooling=mean", "lstm, last": "model.cell=lstm"}


def main(out: Path = Path("runs/lengths"), epochs: int = 30, test_size: int = 1000) -> None:
    """Print the test accuracy for each model and length."""
    tests = {length: new_rows(length, test_size) for length in LENGTHS}
    lines = []
    for name, setting in MODELS.items():
        folder, progress = out / name.replace(", ", "-"), Progress(label=name)
        if folder.exists():
            runs.resume_run(folder, progress=progress)
        else:
            config = override(PRESETS["majority"](), [setting, f"training.max_epochs={epochs}"])
            runs.start_run(config, folder, progress=progress)
        model = load(folder)
        lines.append((name, *(f"{model.score(rows.sequences, rows.targets):.3f}" for rows in tests.values())))
    print_table(("model", *(f"length {length}" for length in LENGTHS)), lines)


def new_rows(length: int, size: int) -> Records:
    """New strings of one length."""
    config = PRESETS["majority"]()
    changes = {"length": length, "train_size": 2, "validation_size": 0, "test_size": size, "seed": 1}
    return TASKS[config.task].prepare(config.data.model_copy(update=changes)).rows["test"]


if __name__ == "__main__":
    typer.run(main)
