"""Recurrent layers, pooling and output layer in one call of the kernel, where nothing else stands between them."""

from collections.abc import Sequence

import torch
import torch.nn.modules.module as modules
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.nn import kernel
from ostinato.nn.engines import choose_engine, stack_spec
from ostinato.nn.kernel import InferenceCall, Inputs, Readout, Spec, chosen_precision
from ostinato.nn.kernel.readout import ByParts
from ostinato.nn.layers import RecurrentLayer, RecurrentStack, Stack
from ostinato.nn.layout import Layout
from ostinato.nn.linear import Linear
from ostinato.nn.pooling import POOLINGS, AttentionPooling, Pooling

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
SETTINGS = ("engine", "residual", "by_step")  # of our modules: they decide how a call is run


class Whole:
    """The calls of a network whose layers, pooling and output layer can be one call of the kernel.

    Without gradients a call is prepared once, and again after a module or a weight has changed: in a small model,
    looking through the modules takes longer than computing.
    """

    def __init__(self) -> None:
        self._prepared: _Prepared | None = None

    def __reduce__(self) -> tuple[type["Whole"], tuple[()]]:
        """A copy prepares its own calls."""
        return Whole, ()

    def run(
        self,
        stack: Stack,
        pooling: Pooling,
        dropout: nn.Dropout,
        head: Linear,
        x: Tensor,
        layout: Layout,
        table: Tensor | None,
    ) -> Tensor | None:
        """`head(dropout(pooling(stack(x))))` in one call of the kernel; None where the kernel cannot run all of it.

        It can where the native engine runs the stack, there is nothing between the layers, and the modules are those of
        Ostinato, without hooks, so that no code of others is skipped.

        Args:
            x: (N, D) vectors, or with a `table` (V, D) of vectors token ids (N,).

        Returns:
            (B, C).
        """
        values, ids = (x, None) if table is None else (table, x.long().contiguous())
        if kernel.is_traced(values):
            return None
        parts = (stack, pooling, dropout, head)
        prepared = self._prepared
        if prepared is not None and not torch.is_grad_enabled() and prepared.fits(parts):
            is_native = choose_engine(prepared.engine, values, (), prepared.cell) == "native"
            return prepared.call.run(values, ids, layout.lengths_on_cpu, chosen_precision()) if is_native else None
        if not _is_ours(*parts):
            return None
        layers: list[RecurrentLayer] = list(stack.layers)  # type: ignore[arg-type]
        readout, of_readout = _readout(pooling, head)
        sides = layers[0].directions()[0]
        if kernel.is_traced(*sides, *of_readout):
            return None
        if choose_engine(layers[0].engine, values, [*sides, *of_readout], layers[0].cell) != "native":
            return None
        directions = [layer.dropped_directions() for layer in layers]
        of_stack = [weight for layer in directions for side in layer for weight in side]
        spec = stack_spec(layers[0].cell, layout, directions)
        factors = None
        if dropout.training and dropout.p > 0:
            factors = F.dropout(values.new_ones(layout.batch_size, pooling.output_size), dropout.p)
        inputs = Inputs(values, ids, layout.lengths_on_cpu, factors, of_stack + of_readout)
        if not torch.is_grad_enabled() and not any(module.training for part in parts for module in part.modules()):
            call = InferenceCall(spec, readout, inputs)
            self._prepared = _Prepared(parts, layers[0], call) if call.is_in_place else None
        return kernel.read_out(spec, readout, inputs, _by_parts(spec, pooling, ids, layout, factors, len(of_stack)))


class _Prepared:
    """A call without gradients, and what it was prepared from."""

    def __init__(self, parts: Sequence[nn.Module], layer: RecurrentLayer, call: InferenceCall) -> None:
        self.engine, self.cell, self.call = layer.engine, layer.cell, call
        every = [module for part in parts for module in part.modules()]
        self._parts = parts
        self._weights = [weight for module in every for weight in module._parameters.values() if weight is not None]
        self._addresses = [weight.data_ptr() for weight in self._weights]
        self._hooks = [vars(module)[name] for module in every for name in HOOKS]
        tables = [table for module in every for table in (module._parameters, module._modules)]
        own = [(vars(module), name) for module in every for name in ("forward", "training", *SETTINGS)]
        self._found = [(table, name, value) for table in tables for name, value in table.items()]
        self._found += [(attributes, name, attributes.get(name)) for attributes, name in own]

    def fits(self, parts: Sequence[nn.Module]) -> bool:
        """Whether modules, weights, hooks and settings are what they were."""
        return (
            self._parts == parts
            and all(table.get(name) is value for table, name, value in self._found)
            and [weight.data_ptr() for weight in self._weights] == self._addresses
            and all(map(Tensor.is_contiguous, self._weights))
            and not any(self._hooks)
            and not modules._has_any_global_hook()  # type: ignore[no-untyped-call]
        )


def _by_parts(
    spec: Spec, pooling: Pooling, ids: Tensor | None, layout: Layout, factors: Tensor | None, of_stack: int
) -> ByParts:
    """The outputs from values and weights, by differentiable operations."""

    def run(values: Tensor, weights: Sequence[Tensor]) -> Tensor:
        h, *_ = kernel.recurrent(spec, values, ids, layout.lengths_on_cpu, None, None, weights[:of_stack])
        *of_attention, weight, bias = weights[of_stack:]
        pooled = [
            kernel.attend(h, layout.lengths_on_cpu, *of_attention) if name == "attention" else part(h, layout)
            for name, part in pooling.poolings.items()
        ]
        read = torch.cat(pooled, dim=1)  # (B, P)
        return F.linear(read if factors is None else read * factors, weight, bias)

    return run


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
    own = vars(module)
    return "forward" not in own and not any(own[name] for name in HOOKS)
