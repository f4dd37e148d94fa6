"""Linear recurrences: a `mingru` layer beside our `gru` layer and beside its own scan by torch's operations.

    python benchmarks/scan.py                   every length, with the goal of 2 times the GRU's speed
    python benchmarks/scan.py --quick --only 200
    python benchmarks/scan.py --device cuda     where the scan by torch's operations is the engine

A row times forward and backward of every step's output, gradients of inputs and weights included.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer
from layers import review_lengths
from record import save
from timing import FULL, QUICK, Bench, Side

from ostinato.nn import Layout, RecurrentLayer, use_engine

RESULTS = Path(__file__).parent / "results" / "scan.json"
HIDDEN, INPUTS = 128, 64
LENGTHS = {"20": [20] * 128, "200": [200] * 32, "2000": [2000] * 4, "20000": [20_000], "reviews": review_lengths(32)}


def training(layer: RecurrentLayer, x: torch.Tensor, lengths: list[int], engine: str) -> Side:
    """Forward and backward of a batch."""
    leaf, layout = x.clone().requires_grad_(), Layout(torch.tensor(lengths), x.device)
    dy = torch.ones(len(x), layer.output_size, device=x.device)

    def run() -> list[torch.Tensor]:
        for each in (leaf, *layer.parameters()):
            each.grad = None
        with use_engine(engine):
            y = layer(leaf, layout)
        y.backward(dy)
        return [y.detach(), *(each.grad for each in (leaf, *layer.parameters()) if each.grad is not None)]

    return Side(run, tokens=len(x))


def row(bench: Bench, name: str) -> None:
    """One batch."""
    lengths = LENGTHS[name]
    x = torch.randn(sum(lengths), INPUTS, device=bench.device)
    mingru, gru = (RecurrentLayer(INPUTS, HIDDEN, cell=cell).to(bench.device) for cell in ("mingru", "gru"))
    sides = {"ours": training(mingru, x, lengths, "auto")}
    if bench.device.type == "cpu":
        sides["mingru, scan by torch"] = training(mingru, x, lengths, "torch")
    minlstm = RecurrentLayer(INPUTS, HIDDEN, cell="minlstm").to(bench.device)
    sides |= {"minlstm": training(minlstm, x, lengths, "auto"), "gru": training(gru, x, lengths, "auto")}
    told = f"training, mingru, {INPUTS} inputs, {HIDDEN} units, {len(lengths)} sequences of {min(lengths)} to {max(lengths)} steps"
    found = bench.compare(f"scan-{name}", told, sides)
    found.expect("gru", at_least=2)
    bench.add(found)


def main(
    only: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(LENGTHS)}; repeatable.")] = None,
    quick: Annotated[bool, typer.Option(help="A few samples: for a look, not for figures.")] = False,
    device: str = "cpu",
    json: Annotated[Path | None, typer.Option(help="Where to write; by default results/scan.json for a full run.")] = None,
) -> None:
    """Print every row; write JSON and a plot."""
    bench = Bench(QUICK if quick else FULL, device)
    for name in only or LENGTHS:
        torch.manual_seed(0)
        row(bench, name)
    if json is None and not (quick or only or device != "cpu"):
        json = RESULTS
    if json is not None:
        save(bench.rows, json, quick=quick)


if __name__ == "__main__":
    typer.run(main)
