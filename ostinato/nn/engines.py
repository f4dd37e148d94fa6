"""How a recurrent layer is executed. All engines mean the same, forward and backward.

`reference`: a Python loop over the cell's equation; slow, readable, any dtype.
`torch`: PyTorch's own kernels (oneDNN on CPU, cuDNN on GPU) over padded length buckets; never the packed path,
whose backward on CPU costs a full-size gradient at every step (pytorch/pytorch#149194).
"""

import os
from collections.abc import Callable

import torch
from torch import Tensor

from ostinato.nn.cells import Cell, State, Weights
from ostinato.nn.layout import Layout, take

# oneDNN keeps a megabyte or so for each new shape of the last 1,024; every batch here has a new one. Without this, 3,000
# batches of random lengths grew by 950 MiB (PyTorch 2.13); with it by 50, at the same speed. Read at oneDNN's first use.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")

Engine = Callable[[Cell, Tensor, Layout, Weights, bool], Tensor]  # (cell, values (N, D), layout, weights, reverse) -> (N, H)

OverTime = Callable[[Cell, Tensor, State, Weights], Tensor]  # (cell, x (T, B, D), state, weights) -> h of every step (T, B, H)


def run_reference(cell: Cell, values: Tensor, layout: Layout, weights: Weights, reverse: bool) -> Tensor:
    """Step by step, the sequences of a bucket side by side; steps past a sequence's end are never read."""
    return _in_buckets(_loop, cell, values, layout, weights, reverse)


def run_torch(cell: Cell, values: Tensor, layout: Layout, weights: Weights, reverse: bool) -> Tensor:
    """One call of PyTorch's kernel a bucket; what it computes past a sequence's end is never read."""
    return _in_buckets(_kernel, cell, values, layout, weights, reverse)


ENGINES: dict[str, Engine] = {"reference": run_reference, "torch": run_torch}


def choose_engine(engine: str) -> str:
    """The engine that `auto` stands for here."""
    return "torch" if engine == "auto" else engine


def _loop(cell: Cell, x: Tensor, state: State, weights: Weights) -> Tensor:
    outputs = []
    for x_t in x:  # (T, B, D) -> T × (B, D)
        state = cell.step(x_t, state, weights)
        outputs.append(state[0])
    return torch.stack(outputs)


def _kernel(cell: Cell, x: Tensor, state: State, weights: Weights) -> Tensor:
    # train=True whenever a gradient may be asked for: cuDNN refuses the backward of a call made with train=False
    num_layers, dropout, train, bidirectional, batch_first = 1, 0.0, torch.is_grad_enabled(), False, False
    start = [part.unsqueeze(0) for part in state]  # (B, H) -> (L=1, B, H)
    return cell.kernel(x, start if cell.states > 1 else start[0], list(weights), True, num_layers, dropout, train, bidirectional, batch_first)[0]


def _in_buckets(over_time: OverTime, cell: Cell, values: Tensor, layout: Layout, weights: Weights, reverse: bool) -> Tensor:
    """Run each bucket as a padded block; the reverse direction reads each sequence from its own end."""
    outputs, steps = [], []
    for bucket in layout.buckets:
        x = bucket.pad(values, reverse=reverse)  # (N, D) -> (T, B, D)
        zero = x.new_zeros(bucket.width, weights.weight_hh.shape[1])
        h = over_time(cell, x, (zero,) * cell.states, weights)  # (T, B, D) -> (T, B, H)
        outputs.append(bucket.unpad(h, reverse=reverse))
        steps.append(bucket.steps)
    if not outputs:
        return values.new_zeros(0, weights.weight_hh.shape[1])
    if len(outputs) == 1 and steps[0] is None:
        return outputs[0]
    order = torch.cat([part for part in steps if part is not None]).argsort()
    return take(torch.cat(outputs), order)
