"""Linear recurrences: a `mingru` layer beside our `gru` layer and beside its own scan by torch's operations.

A row times forward and backward of every step's output, gradients of inputs and weights included.
"""

from collections.abc import Callable
from functools import partial

import torch

from ostinato.benchmark.layers import review_lengths
from ostinato.benchmark.timing import Bench, Side
from ostinato.nn import Layout, RecurrentLayer, use_engine

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


def scan(bench: Bench, name: str) -> None:
    """A batch of `LENGTHS`."""
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


ROWS: dict[str, Callable[[Bench], None]] = {f"scan-{name}": partial(scan, name=name) for name in LENGTHS}
