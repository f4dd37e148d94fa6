"""Seconds to explain 200 IMDb reviews by each method, and the completeness gap of integrated gradients.

python benchmarks/explain.py                train the preset imdb for an epoch, then explain
python benchmarks/explain.py runs/imdb      explain a trained model
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer

from ostinato import explain, load, runs
from ostinato.explanation import methods_of
from ostinato.report.terminal import print_table
from ostinato.tasks.config import PRESETS, override

HEADINGS = ("method", "reviews", "tokens", "seconds", "largest gap", "gaps above 1 %")


def main(run: Annotated[Path | None, typer.Argument()] = None, reviews: int = 200) -> None:
    """Explain test reviews by each method and print one line per method."""
    with TemporaryDirectory() as folder:
        if run is None:
            run = Path(folder) / "imdb"
            runs.start_run(override(PRESETS["imdb"](), ["training.max_epochs=1"]), run)
        model, sequences = load(run), runs.test_rows(run).sequences[:reviews]
    print_table(HEADINGS, [measure(model, sequences, method) for method in methods_of(model)])


def measure(model: Any, sequences: list[str], method: str) -> tuple[str, ...]:
    """The cells of one method under `HEADINGS`."""
    start = time.perf_counter()
    explanations = explain(model, sequences, method=method)
    seconds = time.perf_counter() - start
    tokens = sum(len(each.tokens) for each in explanations)
    gaps = np.array([each.gap for each in explanations if each.gap is not None])
    gap_cells = (f"{gaps.max():.2%}", str(int((gaps > 0.01).sum()))) if len(gaps) else ("", "")
    return (method, str(len(explanations)), f"{tokens:,}", f"{seconds:.1f}", *gap_cells)


if __name__ == "__main__":
    typer.run(main)
