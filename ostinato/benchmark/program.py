"""Rows by name: the command lines of `ostinato benchmark` and of the scripts in benchmarks/."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from ostinato.benchmark import cells, layers, training
from ostinato.benchmark.bench import Bench
from ostinato.benchmark.record import save
from ostinato.benchmark.timing import FULL, QUICK
from ostinato.errors import ConfigError, look_up

Rows = Mapping[str, Callable[[Bench], None]]

ROWS: Rows = {**layers.ROWS, **training.ROWS, "imdb-epoch-full": training.imdb_epoch_full, **cells.ROWS}
USUAL = ("lstm-random", "lstm-bucketed", "lstm-inference-1", "bigru-inference-32", "bigru-step", "scan-200")
ON_CUDA = (*layers.ON_CUDA, *cells.ROWS)


def rows_on(device: str, rows: Iterable[str] = ROWS) -> list[str]:
    """The rows that can be measured on a device, `cpu` or `cuda`."""
    return [name for name in rows if device != "cuda" or name in ON_CUDA]


def refuse_unknown(names: Sequence[str], device: str, rows: Rows = ROWS) -> None:
    """Check the names of rows and device before anything is measured.

    Raises:
        ConfigError: an unknown row, or one that is only measured on the CPU; an unknown or unavailable device.
    """
    look_up(dict.fromkeys(("cpu", "cuda")), device, "device")
    for name in names:
        look_up(rows, name, "row")
        if device == "cuda" and name not in ON_CUDA:
            raise ConfigError(
                f"Row {name!r} is only measured on the CPU. Remove --device, or choose from: {', '.join(ON_CUDA)}."
            )
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("Device 'cuda' is not available: PyTorch sees no CUDA GPU. Remove --device.")


def measure(
    names: Sequence[str], *, quick: bool = False, device: str = "cpu", bench: Bench | None = None, rows: Rows = ROWS
) -> Bench:
    """Measure rows one after the other and print each when it is done.

    Args:
        quick: two seconds a row instead of half a minute.
        bench: measures the rows; None: a new one.
        rows: the table that `names` refers to.

    Raises:
        ConfigError: see `refuse_unknown`.
        DisagreementError: two sides of a row compute different results.
    """
    refuse_unknown(names, device, rows)
    bench = bench or Bench(QUICK if quick else FULL, device)
    for name in names:
        torch.manual_seed(0)
        rows[name](bench)
    return bench


def run_script(rows: Rows, results: Path) -> None:
    """Run the command line of a script that measures `rows`.

    Args:
        results: where a full run of all rows on the CPU is saved.
    """

    def main(
        only: Annotated[list[str] | None, typer.Option(help=f"Rows to measure: {', '.join(rows)}; repeatable.")] = None,
        quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds, for preliminary results.")] = False,
        json: Annotated[
            Path | None, typer.Option(help=f"Where to save the results. A full run saves {results.name}.")
        ] = None,
        device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    ) -> None:
        names = only or rows_on(device, rows) or list(rows)
        bench = measure(names, quick=quick, device=device, rows=rows)
        path = json or (None if quick or only or device != "cpu" else results)
        if path is not None:
            save(bench.rows, path, quick=quick)

    typer.run(main)
