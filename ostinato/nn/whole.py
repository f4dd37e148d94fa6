"""Recurrent layers, pooling and output layer in one call of the kernel, where nothing else stands between them."""

from collections.abc import Sequence

import torch
import torch.nn.modules.module as modules
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.nn import kernel
from ostinato.nn.engines import choose_engine, stack_spec
from ostinato.nn.kernel import Inputs, Readout
from ostinato.nn.layers import RecurrentLayer, RecurrentStack, Stack
from ostinato.nn.layout import Layout
from ostinato.nn.linear import Linear
from ostinato.nn.pooling import POOLINGS, AttentionPooling, Pooling


def run_whole(
    stack: Stack, pooling: Pooling, dropout: nn.Dropout, head: Linear, x: Tensor, layout: Layout, table: Tensor | None
) -> Tensor | None:
    """`head(dropout(pooling(stack(x))))` in one call of the kernel; None where the kernel cannot run all of it.

    It can where the native engine runs the stack, there is nothing between the layers, and the modules are those of
    Ostinato, without hooks, so that no code of others is skipped.

    Args:
        x: (N, D) vectors, or with a `table` (V, D) of vectors token ids (N,).

    Returns:
        (B, C).
    """
    if not _is_ours(stack, pooling, dropout, head):
        return None
    values = x if table is None else table
    layers: list[RecurrentLayer] = list(stack.layers)  # type: ignore[arg-type]
    readout, of_readout = _readout(pooling, head)
    sides = layers[0].directions()[0]
    if kernel.is_traced(values, *sides, *of_readout):
        return None
    if choose_engine(layers[0].engine, values, [*sides, *of_readout], layers[0].cell) != "native":
        return None
    directions = [layer.dropped_directions() for layer in layers]
    of_stack = [weight for layer in directions for side in layer for weight in side]
    spec = stack_spec(layers[0].cell, layout, directions)
    ids = None if table is None else x.long().contiguous()
    factors = None
    if dropout.training and dropout.p > 0:
        factors = F.dropout(values.new_ones(layout.batch_size, pooling.output_size), dropout.p)

    def by_parts(values: Tensor, weights: Sequence[Tensor]) -> Tensor:
        h, *_ = kernel.recurrent(spec, values, ids, layout.lengths_on_cpu, None, None, weights[: len(of_stack)])
        *of_attention, weight, bias = weights[len(of_stack) :]
        pooled = [
            kernel.attend(h, layout.lengths_on_cpu, *of_attention) if name == "attention" else part(h, layout)
            for name, part in pooling.poolings.items()
        ]
        read = torch.cat(pooled, dim=1)  # (B, P)
        return F.linear(read if factors is None else read * factors, weight, bias)

    inputs = Inputs(values, ids, layout.lengths_on_cpu, factors, of_stack + of_readout)
    return kernel.read_out(spec, readout, inputs, by_parts)


def _readout(pooling: Pooling, head: Linear) -> tuple[Readout, list[Tensor]]:
    """How the outputs are read, and its weights."""
    weights: list[Tensor] = [head.weight, head.bias]
    by_step = False
    for each in pooling.poolings.values():
        if isinstance(each, AttentionPooling):
            weights = [each.project.weight, each.project.bias, each.score.weight, *weights]
            by_step = each.by_step
    return Readout(tuple(pooling.poolings), by_step), weights


def _is_ours(stack: Stack, pooling: Pooling, dropout: nn.Dropout, head: Linear) -> bool:
    """Whether nothing but our code runs between the stack's input and the outputs, and one call can run it."""
    poolings = pooling.poolings.items()
    return (
        type(stack) is RecurrentStack
        and stack.is_one_call
        and not modules._has_any_global_hook()  # type: ignore[no-untyped-call]
        and _is_untouched(stack)
        and all(type(each) is POOLINGS[name] and _is_untouched(each) for name, each in poolings)
        and type(pooling) is Pooling
        and _is_untouched(pooling)
        and type(dropout) is nn.Dropout
        and _is_untouched(dropout)
        and type(head) is Linear
        and _is_untouched(head)
    )


def _is_untouched(module: nn.Module) -> bool:
    """Whether a module has no hooks, and no forward of its own."""
    own = module.__dict__
    return not (
        own["_forward_hooks"]
        or own["_forward_pre_hooks"]
        or own["_backward_hooks"]
        or own["_backward_pre_hooks"]
        or "forward" in own
    )
