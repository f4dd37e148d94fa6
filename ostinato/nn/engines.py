"""How a recurrent layer is executed. All engines compute the same function, forward and backward.

`reference`: a Python loop over the cell's equation; slow, readable, any dtype.
`torch`: PyTorch's own kernels (oneDNN on CPU, cuDNN on GPU) over padded length buckets. It never packs sequences: on
    the CPU the packed backward allocates a full-size gradient at every step (pytorch/pytorch#149194).
`native`: our C++ kernel, for float32 on the CPU; without padding.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import Parameter

from ostinato.errors import ConfigError, look_up
from ostinato.nn.cells import Cell
from ostinato.nn.kernel import Spec, chosen_precision, is_traced, recurrent, scan, why_unavailable
from ostinato.nn.kernel.setting import Setting
from ostinato.nn.layout import Layout, gather_rows
from ostinato.nn.over_time import OverTime, step_by_step

# oneDNN caches about a megabyte for each of the last 1,024 shapes, and here every batch has a new shape. Without this
# limit memory grew by 950 MiB over 3,000 batches of random lengths (PyTorch 2.13), with it by 50 MiB, at the same
# speed. oneDNN reads the variable when it is first used.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")

Directions = Sequence[tuple[Tensor, ...]]  # the cell's weights of each direction

# (cell, values (N, D), layout, directions) -> (N, directions · H)
Engine = Callable[[Cell, Tensor, Layout, Directions], Tensor]


def run_reference(cell: Cell, values: Tensor, layout: Layout, directions: Directions) -> Tensor:
    """Step by step, the sequences of a bucket side by side. Results past the end of a sequence are ignored."""
    return _each_direction(step_by_step(cell.step), cell, values, layout, directions)


def run_torch(cell: Cell, values: Tensor, layout: Layout, directions: Directions) -> Tensor:
    """The cell's fastest torch operations, one bucket at a time. Results past the end of a sequence are ignored."""
    return _each_direction(cell.run_over_time, cell, values, layout, directions)


def run_native(cell: Cell, values: Tensor, layout: Layout, directions: Directions) -> Tensor:
    """One call of our kernel."""
    if cell.native == "scan":
        return scan(cell.name, values, layout.lengths_on_cpu, [weight for side in directions for weight in side])
    return run_native_stack(cell, values, layout, [directions])


def run_native_stack(
    cell: Cell, values: Tensor, layout: Layout, layers: Sequence[Directions], table: Tensor | None = None
) -> Tensor:
    """One call of our kernel for a stack of layers; with a `table` (V, D) of vectors, `values` are token ids (N,)."""
    spec = stack_spec(cell, layout, layers)
    weights = [weight for directions in layers for side in directions for weight in side]
    x, ids = (values, None) if table is None else (table, values.long().contiguous())
    return recurrent(spec, x, ids, layout.lengths_on_cpu, None, None, weights)[0]


def stack_spec(cell: Cell, layout: Layout, layers: Sequence[Directions]) -> Spec:
    """A call of our kernel for a stack of layers, apart from its tensors."""
    num_directions, size = len(layers[0]), hidden_size(cell, layers[0])
    batch = ("ragged", layout.batch_size, 0)
    return Spec(cell.name, size, len(layers), num_directions == 2, True, *batch, chosen_precision())


ENGINES: dict[str, Engine] = {"reference": run_reference, "torch": run_torch, "native": run_native}

_forced = Setting("engine")


@contextmanager
def use_engine(engine: str) -> Iterator[None]:
    """Run every recurrent layer inside the block on this engine: `reference`, `torch`, `native` or `auto`.

    Overrides the engine that a layer was built with.

    Raises:
        ConfigError: the name is unknown; or, when a layer runs, the native engine cannot run it.
    """
    if engine != "auto":
        look_up(ENGINES, engine, "engine")
    with _forced.block(engine):
        yield


def forced_engine() -> str | None:
    """The engine of the enclosing `use_engine`, if any."""
    return _forced.get()


def hidden_size(cell: Cell, directions: Directions) -> int:
    """H, from a direction's first weight (G·H, D)."""
    return directions[0][0].shape[0] // cell.gates


def choose_engine(engine: str, values: Tensor, weights: Sequence[Tensor], cell: Cell | None = None) -> str:
    """The engine for a call: that of `use_engine`, else `engine`. `auto` is `native` if it can run, else `torch`.

    Raises:
        ConfigError: the engine is `native` and cannot run the call.
    """
    wanted = forced_engine() or engine
    if wanted not in ("auto", "native"):
        return wanted
    reason = why_not_native(values, weights, cell)
    if reason is None:
        return "native"
    if wanted == "native":
        raise ConfigError(f"The native engine cannot run this layer: {reason}. Set engine='auto' or 'torch'.")
    return "torch"


def why_not_native(values: Tensor, weights: Sequence[Tensor], cell: Cell | None = None) -> str | None:
    """Why the kernel cannot run a call; None when it can."""
    if cell is not None and cell.native is None:
        return f"it has no kernel for {cell.name}"
    if cell is not None and cell.native == "scan" and is_traced(values, *weights):
        return f"its kernel for {cell.name} cannot be traced"
    unavailable = why_unavailable()
    if unavailable is not None:
        return unavailable
    for tensor in (values, *weights):
        if tensor.dtype is not torch.float32:
            return f"it computes in float32, but a tensor is {str(tensor.dtype).removeprefix('torch.')}"
        if not tensor.is_cpu:
            return f"it runs on the CPU, but a tensor is on {tensor.device}"
        if tensor.layout is not torch.strided:
            return f"it reads dense tensors, but the layout of a tensor is {tensor.layout}".replace("torch.", "")
        kind = type(tensor)
        if kind is not Tensor and kind is not Parameter and _replaces_functions(kind):
            return f"it cannot compute with {kind.__name__}, a class that replaces torch's functions"
    if torch.is_autocast_enabled("cpu"):
        return f"autocast computes in {torch.get_autocast_dtype('cpu')}".replace("torch.", "")
    if torch._C._are_functorch_transforms_active():
        return "it does not support torch.func transforms"
    if torch.autograd.forward_ad._current_level >= 0:
        return "it has no forward-mode derivative"
    if torch._C._get_tracing_state() is not None:
        return "torch.jit.trace cannot record it"
    return None


def _replaces_functions(kind: type[Tensor]) -> bool:
    """Whether a tensor class changes what torch's functions do, above the operators, as for per-sample gradients."""
    return getattr(kind.__torch_function__, "__func__", kind.__torch_function__) not in (
        Tensor.__torch_function__.__func__,  # type: ignore[attr-defined]
        torch._C._disabled_torch_function_impl,
    )


def _each_direction(over_time: OverTime, cell: Cell, values: Tensor, layout: Layout, directions: Directions) -> Tensor:
    outputs = [
        _in_buckets(over_time, cell, values, layout, weights, reverse)
        for weights, reverse in zip(directions, (False, True), strict=False)
    ]
    return torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0]


def _in_buckets(
    over_time: OverTime, cell: Cell, values: Tensor, layout: Layout, weights: tuple[Tensor, ...], reverse: bool
) -> Tensor:
    """Run each bucket as a padded block; the reverse direction reads each sequence from its own end."""
    outputs, steps = [], []
    for bucket in layout.buckets:
        x = bucket.pad(values, reverse=reverse)  # (N, D) -> (T, B, D)
        zero = x.new_zeros(bucket.width, hidden_size(cell, [weights]))
        h = over_time(x, (zero,) * cell.states, weights)  # (T, B, D) -> (T, B, H)
        outputs.append(bucket.unpad(h, reverse=reverse))
        steps.append(bucket.steps)
    if not outputs:
        return values.new_zeros(0, hidden_size(cell, [weights]))
    if len(outputs) == 1 and steps[0] is None:
        return outputs[0]
    order = torch.cat([part for part in steps if part is not None]).argsort()
    return gather_rows(torch.cat(outputs), order)
