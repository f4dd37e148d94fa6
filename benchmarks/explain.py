"""Seconds to explain 200 IMDb reviews by each method, and what integrated gradients leave unexplained.

python benchmarks/explain.py                train the preset imdb for an epoch, then explain
python benchmarks/explain.py runs/imdb      explain with a model trained before
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer

from ostinato import explain, runs
from ostinato.explanation import methods_of
from ostinato.report.terminal import print_table
from ostinato.tasks.base import Model
from ostinato.tasks.config import PRESETS, override
from ostinato.tasks.model_file import load_model


def main(run: Annotated[Path | None, typer.Argument()] = None, reviews: int = 200) -> None:
    """Print one line a method, once each, on this machine."""
    with TemporaryDirectory() as folder:
        if run is None:
            run = Path(folder) / "imdb"
            runs.start_run(override(PRESETS["imdb"](), ["training.max_epochs=1"]), run)
        model, test = load_model(run), runs.test_rows(run)
    sequences = test.sequences[:reviews]
    print_table(
        ("method", "reviews", "tokens", "seconds", "worst gap", "above 1 %"),
        [row(model, sequences, method) for method in methods_of(model)],
    )


def row(model: Model, sequences: list[str], method: str) -> tuple[str, ...]:
    """One method, measured."""
    start = time.perf_counter()
    explanations = explain(model, sequences, method=method)
    seconds = time.perf_counter() - start
    tokens = sum(len(each.tokens) for each in explanations)
    gaps = np.array([each.gap for each in explanations if each.gap is not None])
    told = (f"{gaps.max():.2%}", str(int((gaps > 0.01).sum()))) if len(gaps) else ("", "")
    return (method, str(len(explanations)), f"{tokens:,}", f"{seconds:.1f}", *told)


if __name__ == "__main__":
    typer.run(main)
