"""The cells that `torch.nn` does not have, beside those that it has and beside themselves on PyTorch's operations.

A training row times a forward and a backward pass with a gradient at every step's output.
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


def inference_side(layer: RecurrentLayer, x: Tensor, lengths: list[int], engine: str) -> Side:
    """The forward pass of a batch x (N, D) without gradients."""
    layout = Layout(torch.tensor(lengths), x.device)

    def run() -> list[Tensor]:
        with use_engine(engine), torch.no_grad():
            return [layer(x, layout)]

    return Side(run, tokens=len(x))


def beside_lstm(bench: Bench, cell: str, batch_size: int, hidden_size: int) -> None:
    """Training and inference of a batch of 200 steps each, with the LSTM of as many units."""
    lengths = [200] * batch_size
    x = torch.randn(sum(lengths), INPUT_SIZE, device=bench.device)
    ours, lstm = (RecurrentLayer(INPUT_SIZE, hidden_size, cell=each).to(bench.device) for each in (cell, "lstm"))
    for work, side in (("training", training_side), ("inference", inference_side)):
        sides = {"ours": side(ours, x, lengths, "auto"), "lstm": side(lstm, x, lengths, "auto")}
        if bench.device.type == "cpu":
            sides[f"{cell}, PyTorch's operations"] = side(ours, x, lengths, "torch")
        sizes = f"{INPUT_SIZE} inputs, {hidden_size} units, {batch_size} x 200 steps"
        row = bench.compare(f"{cell}-{work}-{batch_size}-{hidden_size}", f"{work}, {cell}, {sizes}", sides)
        row.expect_ratio("lstm", at_least=0.77)
        bench.add(row)


def scan(bench: Bench, name: str) -> None:
    """Training of `mingru` on a batch of the lengths `LENGTHS[name]`, beside `minlstm` and `gru`."""
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


ROWS: dict[str, Callable[[Bench], None]] = {
    **{f"scan-{name}": partial(scan, name=name) for name in LENGTHS},
    **{
        f"{cell}-{batch_size}-{hidden_size}": partial(
            beside_lstm, cell=cell, batch_size=batch_size, hidden_size=hidden_size
        )
        for cell in ("lnlstm", "slstm")
        for batch_size in (1, 32)
        for hidden_size in (32, 128, 256)
    },
}
