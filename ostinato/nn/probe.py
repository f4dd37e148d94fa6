"""Running a module on an example without changing the module's state."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


@dataclass(frozen=True)
class Call:
    """A module and the arguments of a call. `with_backward`: whether timing includes backward."""

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    with_backward: bool

    def outcome(self) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Floating-point outputs, gradients of parameters, gradients of inputs.

        The gradients are those of the sum of the outputs times fixed random numbers.
        """
        leaves: list[Tensor] = []

        def leaf(tensor: Tensor) -> Tensor:
            copy = tensor.detach().clone()
            if not copy.is_floating_point():
                return copy
            leaves.append(copy.requires_grad_())
            return copy.clone()  # a copy, because the model may write into its input and a leaf forbids that

        # cuDNN has no backward in eval mode
        with (
            _preserved_state(self.module),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.backends.cudnn.flags(enabled=self.module.training),
        ):
            parameters = [p for p in self.module.parameters() if p.requires_grad]
            outputs = _floats(self.module(*_map(self.args, leaf), **_map(self.kwargs, leaf)))
            gradients = _gradients(outputs, [*parameters, *leaves])
        return [output.detach() for output in outputs], gradients[: len(parameters)], gradients[len(parameters) :]

    def seconds(self) -> float:
        """Time of one forward, plus backward if `with_backward`."""
        with _preserved_state(self.module), torch.inference_mode(False), torch.set_grad_enabled(self.with_backward):
            args, kwargs = _map(self.args, _copy), _map(self.kwargs, _copy)
            leaves = [t for t in (*self.module.parameters(), *_floats((args, kwargs))) if t.requires_grad]
            _synchronize()
            start = time.perf_counter()
            ends = [output.sum() for output in _floats(self.module(*args, **kwargs)) if output.requires_grad]
            if ends and leaves:
                torch.autograd.grad(ends, leaves, allow_unused=True)
            _synchronize()
            return time.perf_counter() - start

    def inputs_of(self, layers: Sequence[nn.Module]) -> dict[nn.Module, "Call"]:
        """The first call of each layer during this call."""
        calls: dict[nn.Module, Call] = {}

        def record(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if layer not in calls:
                calls[layer] = Call(layer, _map(args, _copy), _map(kwargs, _copy), self.with_backward)

        hooks = [layer.register_forward_pre_hook(record, with_kwargs=True) for layer in layers]
        try:
            self.seconds()
        finally:
            for hook in hooks:
                hook.remove()
        return calls


@contextmanager
def _preserved_state(module: nn.Module) -> Iterator[None]:
    """Seed the generators; afterwards restore random states, buffers and attributes."""
    attributes = [
        (part, dict(vars(part)), dict(part._buffers))
        for part in module.modules()
        if not isinstance(part, torch.jit.ScriptModule)
    ]
    contents = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    state = random.getstate()
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        random.seed(0)
        torch.manual_seed(0)
        try:
            yield
        finally:
            random.setstate(state)
            for part, own, buffers in attributes:
                vars(part).clear()
                vars(part).update(own)
                part._buffers.clear()
                part._buffers.update(buffers)
            with torch.no_grad():
                for buffer, content in contents:
                    buffer.copy_(content)


def arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """An example as positional and keyword arguments."""
    if isinstance(example, Mapping):
        return (), dict(example)
    if isinstance(example, (tuple, list)) and not isinstance(example, PackedSequence):
        return tuple(example), {}
    return (example,), {}


def _map(tree: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A nest of tuples, lists and dicts with `change` applied to each tensor."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, PackedSequence):
        return PackedSequence(change(tree.data), *tree[1:])
    if isinstance(tree, Mapping):
        return {key: _map(value, change) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_map(value, change) for value in tree))
    return type(tree)(_map(value, change) for value in tree) if type(tree) in (tuple, list) else tree


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_(tensor.requires_grad)


def _floats(tree: Any) -> list[Tensor]:
    """The floating-point tensors of a nest, in order."""
    if isinstance(tree, Tensor):
        return [tree] if tree.is_floating_point() else []
    parts = tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, (tuple, list)) else ()
    return [tensor for part in parts for tensor in _floats(part)]


def _gradients(outputs: Sequence[Tensor], leaves: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of the sum of the outputs times fixed random numbers, ignoring infinite outputs (masked scores)."""
    generator = torch.Generator().manual_seed(0)
    factors = [
        torch.randn(output.shape, generator=generator).to(output).masked_fill(~output.detach().isfinite(), 0)
        for output in outputs
    ]
    pairs = [(output, factor) for output, factor in zip(outputs, factors, strict=True) if output.requires_grad]
    if not pairs or not leaves:
        return [torch.zeros_like(leaf) for leaf in leaves]
    ends, starts = zip(*pairs, strict=True)
    gradients = torch.autograd.grad(ends, leaves, starts, allow_unused=True)
    return [
        torch.zeros_like(leaf) if gradient is None else gradient
        for gradient, leaf in zip(gradients, leaves, strict=True)
    ]


def _synchronize() -> None:
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
