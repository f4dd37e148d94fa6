"""Linear recurrences: a `mingru` layer, the same layer on PyTorch's operations, a `minlstm` and a `gru` layer.

A row times a forward and a backward pass with a gradient at every step's output.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ostinato.benchmark.bench import Bench
from ostinato.benchmark.layers import review_lengths
from ostinato.benchmark.timing import Side
from ostinato.nn import Layout, RecurrentLayer, use_engine

HIDDEN_SIZE, INPUT_SIZE = 128, 64
LENGTHS = {"20": [20] * 128, "200": [200] * 32, "2000": [2000] * 4, "20000": [20_000], "reviews": review_lengths(32)}


def training_side(layer: RecurrentLayer, x: Tensor, lengths: list[int], engine: str) -> Side:
    """The forward and backward pass of a batch x (N, D)."""
    leaf, layout = x.clone().requires_grad_(), Layout(torch.tensor(lengths), x.device)
    leaves = (leaf, *layer.parameters())
    dy = torch.ones(len(x), layer.output_size, device=x.device)

    def run() -> list[Tensor]:
        for each in leaves:
            each.grad = None
        with use_engine(engine):
            y = layer(leaf, layout)
        y.backward(dy)
        return [y.detach(), *(each.grad for each in leaves if each.grad is not None)]

    return Side(run, tokens=len(x))


def scan(bench: Bench, name: str) -> None:
    """A batch of the lengths `LENGTHS[name]`."""
    lengths = LENGTHS[name]
    x = torch.randn(sum(lengths), INPUT_SIZE, device=bench.device)
    mingru, minlstm, gru = (
        RecurrentLayer(INPUT_SIZE, HIDDEN_SIZE, cell=cell).to(bench.device) for cell in ("mingru", "minlstm", "gru")
    )
    sides = {"ours": training_side(mingru, x, lengths, "auto")}
    if bench.device.type == "cpu":
        sides["mingru, scan by torch"] = training_side(mingru, x, lengths, "torch")
    sides["minlstm"] = training_side(minlstm, x, lengths, "auto")
    sides["gru"] = training_side(gru, x, lengths, "auto")
    description = (
        f"training, mingru, {INPUT_SIZE} inputs, {HIDDEN_SIZE} units, {len(lengths)} sequences of {min(lengths)} to "
        f"{max(lengths)} steps"
    )
    row = bench.compare(f"scan-{name}", description, sides)
    row.expect_ratio("gru", at_least=2)
    bench.add(row)


ROWS: dict[str, Callable[[Bench], None]] = {f"scan-{name}": partial(scan, name=name) for name in LENGTHS}
