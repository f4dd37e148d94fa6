"""Trained at one length, tested at longer ones: does the model know the rule, or the length?

    python benchmarks/lengths.py            three models of `majority`, trained at length 20

The longer strings are drawn anew, with another seed; one training a row.
"""

from pathlib import Path

import typer
from ostinato.data.dataset import load_dataset
from ostinato.presets import PRESETS

from ostinato import load, runs, summary
from ostinato.config import DataConfig, override
from ostinato.progress import Progress

LENGTHS = (20, 50, 200, 1000)
MODELS = {"rnn, last": ["model.cell=rnn"], "rnn, mean": ["model.pooling=mean"], "lstm, last": ["model.cell=lstm"]}


def main(out: Path = Path("runs/lengths")) -> None:
    """Print test accuracy for each model and length."""
    rows = []
    for name, settings in MODELS.items():
        folder = out / name.replace(", ", "-")
        config = override(PRESETS["majority"](), settings)
        if folder.exists():
            runs.resume_run(folder, progress=Progress(label=name))
        else:
            runs.start_run(config, folder, progress=Progress(label=name))
        model = load(folder)
        tests = [
            load_dataset(
                DataConfig(name="majority", length=length, train_size=2, validation_size=0, test_size=1000, seed=1)
            ).test
            for length in LENGTHS
        ]
        rows.append((name, *(f"{model.score(test.sequences, test.labels):.3f}" for test in tests)))
    summary.print_table(("model", *(f"length {length}" for length in LENGTHS)), rows)


if __name__ == "__main__":
    typer.run(main)
