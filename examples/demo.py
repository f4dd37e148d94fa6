"""Train, evaluate, use and explain five classifiers on real and generated data; `make demo` runs this."""

from pathlib import Path

import typer

from ostinato import load, runs
from ostinato.progress import Progress
from ostinato.runs.report import report_run
from ostinato.runs.table import print_results
from ostinato.tasks.config import PRESETS

NAMES = ("majority", "imdb", "dna", "dna-order", "splice")
QUERIES = {
    "majority": ["11101000111011011010", "00010100100010000111"],
    "imdb": [
        "Wonderful: funny, warm and beautifully acted.",
        "Dull, badly acted and far too long: a waste of two hours.",
    ],
    "dna": ["GGCATCGATTACAGGCTATAATGCTTAGCGATCCGTTAACGGATCTTGAC", "GGCATCGATTACAGGCTAATATGCTTAGCGATCCGTTAACGGATCTTGAC"],
}


def main(out: Path | None = None) -> None:
    """Train each preset in a folder of its own, use the models, and show every score next to its baselines."""
    results = []
    for name in NAMES:
        print(f"\n{name}: {(PRESETS[name].__doc__ or '').strip()}")
        folder = out / name if out else runs.free_folder(name)
        results.append((folder, runs.start_run(PRESETS[name](), folder, progress=Progress(label=name))))
    print("\nUsing them:")
    for name, (folder, _) in zip(NAMES, results, strict=True):
        model = load(folder)
        for text in QUERIES.get(name, []):
            print(f"{name}: {text!r} -> {model.predict([text])[0]} ({model.predict_proba([text]).max():.2f})")
    print("\nThe models next to their baselines:")
    print_results(results)
    print("\nWhat each model learned, and how far to trust its explanations:")
    for name, (folder, _) in zip(NAMES, results, strict=True):
        print(report_run(folder, progress=Progress(label=name)))


if __name__ == "__main__":
    typer.run(main)
