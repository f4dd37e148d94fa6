"""Rows by name: what `ostinato benchmark` and the scripts in benchmarks/ do with them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from ostinato.benchmark import layers, scan, training
from ostinato.benchmark.record import save
from ostinato.benchmark.timing import FULL, QUICK, Bench
from ostinato.errors import ConfigError, look_up

Rows = Mapping[str, Callable[[Bench], None]]

ROWS: Rows = {**layers.ROWS, **training.ROWS, "imdb-epoch-full": training.imdb_epoch_full, **scan.ROWS}
USUAL = ("lstm-random", "lstm-bucketed", "lstm-inference-1", "bigru-inference-32", "bigru-step", "scan-200")
ON_CUDA = ("lstm-random", "lstm-bucketed", *scan.ROWS)


def refuse_unknown(names: Sequence[str], device: str) -> None:
    """Refuse what cannot be measured, before anything is.

    Raises:
        ConfigError: a row is unknown or has no peer on the device, or there is no such device.
    """
    look_up(dict.fromkeys(("cpu", "cuda")), device, "device")
    for name in names:
        look_up(ROWS, name, "row")
        if device == "cuda":
            look_up(dict.fromkeys(ON_CUDA), name, "row for --device cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("Device 'cuda' is not there: PyTorch sees no CUDA GPU. Leave --device away.")


def measure(names: Sequence[str], *, quick: bool = False, device: str = "cpu", bench: Bench | None = None) -> Bench:
    """Measure rows one after the other; each is printed as it comes.

    Raises:
        ConfigError: a row is unknown or has no peer on the device, or there is no such device; before anything is measured.
        DisagreementError: two sides of a row do not compute the same.
    """
    refuse_unknown(names, device)
    measured = [ROWS[name] for name in names]
    bench = bench or Bench(QUICK if quick else FULL, device)
    for row in measured:
        torch.manual_seed(0)
        row(bench)
    return bench


def run_script(rows: Rows, results: Path) -> None:
    """A script's command line over a table of rows; a full run on the CPU is kept in `results`."""

    def main(
        only: Annotated[list[str] | None, typer.Option(help=f"Rows to measure: {', '.join(rows)}; repeatable.")] = None,
        quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds: preliminary figures.")] = False,
        json: Annotated[
            Path | None, typer.Option(help=f"Where to write the figures; a full run writes {results.name}.")
        ] = None,
        device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    ) -> None:
        names = only or [name for name in rows if device == "cpu" or name in ON_CUDA]
        bench = measure(names, quick=quick, device=device)
        kept = json or (None if quick or only or device != "cpu" else results)
        if kept is not None:
            save(bench.rows, kept, quick=quick)

    typer.run(main)
