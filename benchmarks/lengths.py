"""Trained at one length, tested at longer ones: does the model know the rule, or the length?

    python benchmarks/lengths.py            three models of `majority`, trained at length 20

The longer strings are drawn anew, with another seed; one training a row.
"""

from pathlib import Path

import typer

from ostinato import load, runs
from ostinato.comparison.lengths import generated_test
from ostinato.data.examples import Records
from ostinato.progress import Progress
from ostinato.report.terminal import print_table
from ostinato.tasks.config import PRESETS, override

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
        tests = [Records.of(generated_test(config, length)) for length in LENGTHS]
        rows.append((name, *(f"{model.score(test.sequences, test.targets):.3f}" for test in tests)))
    print_table(("model", *(f"length {length}" for length in LENGTHS)), rows)


if __name__ == "__main__":
    typer.run(main)
