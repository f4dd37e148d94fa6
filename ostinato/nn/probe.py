"""Running a module on an example without changing the module's state, and timing it."""

import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

Arguments = tuple[tuple[Any, ...], dict[str, Any]]  # positional and keyword


@dataclass(frozen=True)
class Call:
    """A call of a module.

    Args:
        module: the module whose parameters are differentiated and whose state is preserved.
        make: makes the arguments of a call; they are copied, so it may return the same ones each time.
        with_backward: whether timing includes backward.
        function: what is called; None for the module itself.
        with_gradients: whether `outcome` computes gradients; without them its groups of gradients are empty.
    """

    module: nn.Module
    make: Callable[[], Arguments]
    with_backward: bool
    function: Callable[..., Any] | None = None
    with_gradients: bool = True

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
            torch.set_grad_enabled(self.with_gradients),
            torch.backends.cudnn.flags(enabled=self.module.training),
        ):
            parameters = [p for p in self.module.parameters() if p.requires_grad]
            args, kwargs = self.make()
            outputs = _floats(self._run(*_map(args, leaf), **_map(kwargs, leaf)))
            gradients = _gradients(outputs, [*parameters, *leaves]) if self.with_gradients else []
        return [output.detach() for output in outputs], gradients[: len(parameters)], gradients[len(parameters) :]

    def seconds(self) -> float:
        """Time of one forward, plus backward if `with_backward`.

        Processor time where PyTorch uses one thread, so that other programs do not count; else time of day.
        """
        clock = time.process_time if torch.get_num_threads() == 1 and not _uses_cuda() else time.perf_counter
        with _preserved_state(self.module), torch.inference_mode(False), torch.set_grad_enabled(self.with_backward):
            args, kwargs = _map(self.make(), _copy)
            leaves = [t for t in (*self.module.parameters(), *_floats((args, kwargs))) if t.requires_grad]
            _synchronize()
            start = clock()
            ends = [output.sum() for output in _floats(self._run(*args, **kwargs)) if output.requires_grad]
            if ends and leaves:
                torch.autograd.grad(ends, leaves, allow_unused=True)
            _synchronize()
            return clock() - start

    def inputs_of(self, layers: Sequence[nn.Module]) -> dict[nn.Module, "Call"]:
        """The first call of each layer during this call."""
        calls: dict[nn.Module, Call] = {}

        def record(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if layer not in calls:
                copied = _map(args, _copy), _map(kwargs, _copy)
                calls[layer] = Call(layer, lambda: copied, self.with_backward)

        hooks = [layer.register_forward_pre_hook(record, with_kwargs=True) for layer in layers]
        try:
            self.seconds()
        finally:
            for hook in hooks:
                hook.remove()
        return calls

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        return (self.function or self.module)(*args, **kwargs)


@dataclass(frozen=True)
class SpeedUp:
    """Time before divided by time after, from runs in alternation.

    Args:
        ratio: of the lower quartiles of both times, because other programs only ever make a run slower.
        low, high: the quartiles of the ratios of neighbouring runs.
    """

    ratio: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether at least three quarters of the neighbouring runs agree on which is faster, and about how much."""
        return (self.low > 1 or self.high < 1) and self.high < 1.3 * self.low


def compare_speed(before: Sequence[float], after: Sequence[float]) -> SpeedUp:
    """The speed-up from the seconds of neighbouring runs."""
    ratios = _quartiles([old / new for old, new in zip(before, after, strict=True)])
    return SpeedUp(_quartiles(before)[0] / _quartiles(after)[0], ratios[0], ratios[2])


def _quartiles(values: Sequence[float]) -> list[float]:
    return quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3


@contextmanager
def _preserved_state(module: nn.Module) -> Iterator[None]:
    """Seed the generators; afterwards restore random states, buffers and attributes, down to the items of lists."""
    attributes = [
        (part, dict(vars(part)), dict(part._buffers))
        for part in module.modules()
        if not isinstance(part, torch.jit.ScriptModule)
    ]
    held = [(container, container.copy()) for container in _containers([own for _, own, _ in attributes])]
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
            for container, before in held:
                container.clear()
                restore = container.extend if isinstance(container, (list, deque)) else container.update
                restore(before)
            with torch.no_grad():
                for buffer, content in contents:
                    buffer.copy_(content)


def _containers(nest: Any) -> list[Any]:
    """The lists, dicts, sets and deques of a nest: torch keeps weights in one, models keep outputs in others."""
    found: dict[int, Any] = {}
    left = [nest]
    while left:
        value = left.pop()
        if type(value) in (list, dict, set, deque) and id(value) not in found:
            found[id(value)] = value
            left.extend(value.values() if type(value) is dict else value)
        elif type(value) is tuple:
            left.extend(value)
    return list(found.values())


def arguments(example: Any) -> Arguments:
    """An example as positional and keyword arguments; called for them if it is a function."""
    if callable(example):
        example = example()
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


def _uses_cuda() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _synchronize() -> None:
    if _uses_cuda():
        torch.cuda.synchronize()
