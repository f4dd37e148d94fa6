"""Train, evaluate, use and explain five classifiers on real and generated data; `make demo` runs this."""

from pathlib import Path

import typer
from ostinato.presets import PRESETS
from ostinato.report.run_report import report_run

from ostinato import load, runs, summary
from ostinato.progress import Progress

TASKS = ("majority", "imdb", "dna", "dna-order", "splice")
ASKED = {
    "majority": ["11101000111011011010", "00010100100010000111"],
    "imdb": [
        "Wonderful: funny, warm and beautifully acted.",
        "Dull, badly acted and far too long: a waste of two hours.",
    ],
    "dna": ["GGCATCGATTACAGGCTATAATGCTTAGCGATCCGTTAACGGATCTTGAC", "GGCATCGATTACAGGCTAATATGCTTAGCGATCCGTTAACGGATCTTGAC"],
}


def main(out: Path | None = None) -> None:
    """Train every task in a folder of its own, use the models, and show each beside what it must beat."""
    results = []
    for task in TASKS:
        print(f"\n{task}: {(PRESETS[task].__doc__ or '').strip()}")
        folder = out / task if out else runs.free_folder(task)
        results.append((folder, runs.start_run(PRESETS[task](), folder, progress=Progress(label=task))))
    print("\nUsing them:")
    for task, (folder, _) in zip(TASKS, results, strict=True):
        model = load(folder)
        for text in ASKED.get(task, []):
            print(f"{task}: {text!r} -> {model.predict([text])[0]} ({model.predict_proba([text]).max():.2f})")
    print("\nThe models beside what they must beat:")
    summary.print_results(results)
    print("\nWhat each has learnt, and how far its explanations can be believed:")
    for task, (folder, _) in zip(TASKS, results, strict=True):
        print(report_run(folder, progress=Progress(label=task)))


if __name__ == "__main__":
    typer.run(main)
