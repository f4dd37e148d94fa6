"""A model as an ONNX graph, with what is needed to certify it: inputs to try, and the answers that it must give."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ostinato.tasks.portable import Arrays

if TYPE_CHECKING:
    from ostinato.nn.onnx.graph import Graph


class Port(NamedTuple):
    """An input or an output of a graph.

    Args:
        dtype: of NumPy, as `int64`.
        shape: sizes that are fixed as numbers, others by name, as `("batch", "length")`.
        value: the value in the graph that an output shows.
        unit: the usual size of an output's numbers. Differences are relative to the larger of it and the output, since
            the sum of large numbers may be near 0.
    """

    dtype: str
    shape: tuple[str | int, ...]
    value: str = ""
    unit: float = 1.0


@dataclass(frozen=True)
class OnnxModel:
    """A graph with its inputs and outputs.

    Args:
        graph: the nodes.
        inputs, outputs: by name.
        answer: how outputs become answers, as JSON values; see `portable.py` in the task's folder.
        longest: the length of the longest training sequence.
        draw: inputs for sequences of the given lengths, drawn at random.
        reference, exact: the outputs of our own engine for inputs, in float32 and in float64.
    """

    graph: "Graph"
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    answer: dict[str, Any]
    longest: int
    draw: Callable[[np.random.Generator, Sequence[int]], Arrays]
    reference: Callable[[Arrays], Arrays]
    exact: Callable[[Arrays], Arrays]
