"""Refuses tensors for which the library would read or write out of bounds, such as a weight that a user replaced."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ostinato.errors import ConfigError
from ostinato.nn.cells import CELLS

Claim = tuple[str, Tensor, tuple[int, ...]]  # name, tensor, and its required shape


def check_float32(claims: Iterable[Claim]) -> None:
    """`check_tensors` of what the native engine reads, all of it in float32."""
    check_tensors("The native engine", ((name, tensor, torch.float32, shape) for name, tensor, shape in claims))


def check_tensors(reader: str, claims: Iterable[tuple[str, Tensor | None, torch.dtype, tuple[int, ...]]]) -> None:
    """Refuse tensors of another dtype or shape than claimed; None is always right.

    Raises:
        ConfigError: names each of them, what it is, and what it should be.
    """
    problems = [
        f"{name} is {_kind(tensor.dtype, tuple(tensor.shape))}. Expected {_kind(dtype, shape)}."
        for name, tensor, dtype, shape in claims
        if tensor is not None and (tensor.dtype is not dtype or tensor.shape != shape)
    ]
    if problems:
        raise ConfigError(f"{reader} cannot run: " + "\n".join(problems))


def _kind(dtype: torch.dtype, shape: tuple[int, ...]) -> str:
    return f"{str(dtype).removeprefix('torch.')} of shape {shape}"


def attention_claims(project: Tensor, bias: Tensor, score: Tensor, size: int) -> Iterator[Claim]:
    """What attention pooling over vectors of this size reads."""
    yield "project.weight", project, (size, size)
    yield "project.bias", bias, (size,)
    yield "score.weight", score, (1, size)


class StackWeights(NamedTuple):
    """The name and shape of each weight of a stack, in the kernel's order."""

    names: list[str]
    shapes: list[tuple[int, ...]]


@lru_cache(maxsize=256)
def stack_weights(
    cell: str, num_layers: int, directions: int, bias: bool, input_size: int, hidden_size: int
) -> StackWeights:
    """The weights of a stack; without `bias` only the matrices."""
    found = StackWeights([], [])
    for layer in range(num_layers):
        below = input_size if layer == 0 else directions * hidden_size
        shapes = list(CELLS[cell].shapes(below, hidden_size).items())
        for suffix in ("", "_reverse")[:directions]:
            for name, shape in shapes if bias else shapes[:2]:
                found.names.append(f"{name}_l{layer}{suffix}")
                found.shapes.append(shape)
    return found


def check_weights(expected: StackWeights, weights: Sequence[Tensor]) -> None:
    """`check_float32` of all weights of a stack, quick where nothing is wrong.

    Raises:
        ConfigError: a weight has another dtype or shape.
    """
    if [weight.shape for weight in weights] == expected.shapes and all(w.dtype is torch.float32 for w in weights):
        return
    check_float32(zip(expected.names, weights, expected.shapes, strict=True))
