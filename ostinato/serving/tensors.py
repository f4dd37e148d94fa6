"""Inputs of the Open Inference Protocol to rows, and answers to its outputs."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ostinato.errors import ConfigError, look_up
from ostinato.serving.faults import ServiceError, refuse_all
from ostinato.serving.repository import Entry
from ostinato.serving.service import Given

Size = Annotated[int, Field(ge=0)]


class Tensor(BaseModel):
    """An input: its data are in row-major order, flat or nested."""

    model_config = ConfigDict(strict=True)

    name: str
    datatype: str
    shape: list[Size]
    data: list[Any]
    parameters: dict[str, Any] | None = None


class Requested(BaseModel):
    """An output that is asked for."""

    model_config = ConfigDict(strict=True)

    name: str
    parameters: dict[str, Any] | None = None


class InferBody(BaseModel):
    """A request of the Open Inference Protocol. Inputs: text, or tokens or values with lengths."""

    model_config = ConfigDict(strict=True)

    id: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict, description="truncate: true cuts long sequences.")
    inputs: Annotated[list[Tensor], Field(min_length=1)]
    outputs: list[Requested] | None = None


def inputs_of(entry: Entry) -> list[dict[str, Any]]:
    """The inputs that a model reads, for its metadata."""
    channels = entry.facts.channels
    text = {"name": "text", "datatype": "BYTES", "shape": [-1]}
    if channels is not None:
        return [{"name": "values", "datatype": "FP32", "shape": [-1, -1, channels]}, _LENGTHS, text]
    return [text, {"name": "tokens", "datatype": "INT64", "shape": [-1, -1]}, _LENGTHS] if entry.facts.ids else [text]


_LENGTHS = {"name": "lengths", "datatype": "INT64", "shape": [-1]}
DATATYPES = {
    "text": ("BYTES",),
    "tokens": ("INT64", "INT32"),
    "values": ("FP32", "FP64"),
    "lengths": ("INT64", "INT32"),
}
DIMENSIONS = {"text": (1, 2), "tokens": (2,), "values": (2, 3), "lengths": (1,)}


def given(entry: Entry, tensors: Sequence[Tensor]) -> list[Given]:
    """The inputs of a request, one for each sequence.

    Raises:
        ServiceError: 422, with all faults.
    """
    found = {tensor.name: tensor for tensor in tensors}
    faults = [fault for number, tensor in enumerate(tensors) for fault in _faults(number, tensor)]
    sequences = [name for name in ("text", "tokens", "values") if name in found]
    if len(found) < len(tensors):
        faults.append("inputs: two of one name. Send each once.")
    if len(sequences) != 1:
        faults.append(f"inputs: {', '.join(sequences) or 'none'}. Send one of text, tokens and values.")
    refuse_all(faults)
    (name,) = sequences
    tensor = found[name]
    if name == "text":
        texts = list(_flat(tensor.data))
        return [_given(entry, f"text {row}", text) for row, text in enumerate(texts)]
    rows = _cut_to_lengths(tensor, found.get("lengths"))
    if name == "values":
        return [_given(entry, f"values {row}", steps) for row, steps in enumerate(rows)]
    served = entry.served
    return [
        Given(source, partial(served.row_of_ids, ids, source))
        for source, ids in ((f"tokens {row}", ids) for row, ids in enumerate(rows))
    ]


def _given(entry: Entry, source: str, value: Any) -> Given:
    model = entry.served.model
    return Given(source, partial(model.task.row_of_value, value, source, model))


def _faults(number: int, tensor: Tensor) -> Iterator[str]:
    """What is wrong with an input by itself."""
    where, name = f"inputs.{number}", tensor.name
    if name not in DATATYPES:
        yield f"{where}.name: {name!r:.60} is not an input. Choose from: {', '.join(DATATYPES)}."
        return
    if tensor.datatype not in DATATYPES[name]:
        yield f"{where}.datatype: {tensor.datatype!r:.60}. Input {name} is {' or '.join(DATATYPES[name])}."
        return
    shape = tensor.shape
    if len(shape) not in DIMENSIONS[name] or (name == "text" and shape[1:] not in ([], [1])):
        dimensions = " or ".join(map(str, DIMENSIONS[name]))
        yield f"{where}.shape: {shape}. Input {name} has {dimensions} dimensions, the first for the sequences."
        return
    if 0 in shape:
        yield f"{where}.shape: {shape}. Every dimension is at least 1."
        return
    values = list(itertools.islice(_flat(tensor.data), math.prod(shape) + 1))
    if len(values) != math.prod(shape):
        count = f"{len(values)} values" if len(values) < math.prod(shape) else "more values"
        yield f"{where}.data: {count}, but the shape {shape} has {math.prod(shape)}."
        return
    fits, kind = KINDS[tensor.datatype]
    wrong = next((at for at, value in enumerate(values) if not fits(value)), None)
    if wrong is not None:
        yield f"{where}.data: value {wrong} is {values[wrong]!r:.60}. Expected {kind}."


def _is_integer(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**63


KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "BYTES": (lambda value: isinstance(value, str), "a text"),
    "INT64": (_is_integer, "an integer"),
    "INT32": (_is_integer, "an integer"),
    "FP32": (lambda value: type(value) in (int, float), "a number"),
    "FP64": (lambda value: type(value) in (int, float), "a number"),
}


def _flat(data: Iterable[Any]) -> Iterator[Any]:
    """The values of nested lists, in order."""
    waiting = [iter(data)]
    while waiting:
        for value in waiting[-1]:
            if isinstance(value, list):
                waiting.append(iter(value))
                break
            yield value
        else:
            waiting.pop()


def _cut_to_lengths(tensor: Tensor, lengths: Tensor | None) -> list[Any]:
    """The rows of a tensor, without padding.

    Raises:
        ServiceError: 422, the lengths do not fit.
    """
    rows, longest = tensor.shape[:2]
    values = list(_flat(tensor.data))
    per_row = math.prod(tensor.shape[1:])
    nested = [values[row * per_row : (row + 1) * per_row] for row in range(rows)]
    if len(tensor.shape) == 3:
        channels = tensor.shape[2]
        nested = [[row[at : at + channels] for at in range(0, len(row), channels or 1)] for row in nested]
    if lengths is None:
        return nested
    sizes = list(_flat(lengths.data))
    if len(sizes) != rows or not all(0 <= size <= longest for size in sizes):
        raise ServiceError(422, f"lengths: {sizes!r:.60}. Expected {rows} numbers from 0 to {longest}.")
    return [row[:size] for row, size in zip(nested, sizes, strict=True)]


def outputs_of(entry: Entry, answers: Sequence[Any], requested: Sequence[Requested] | None) -> list[dict[str, Any]]:
    """The outputs for answers, one row each; shorter rows are padded with "" or 0.

    Raises:
        ConfigError: the model has no such output, or an output is requested twice.
    """
    declared = entry.served.outputs
    names = list(declared) if requested is None else [each.name for each in requested]
    for name in names:
        look_up(declared, name, "output")
    if len(set(names)) < len(names):
        raise ConfigError("outputs: two of one name. Request each once.")
    found = [entry.served.arrays(answer) for answer in answers]
    return [_output(name, declared[name].datatype, [arrays[name] for arrays in found]) for name in names]


def _output(name: str, datatype: str, arrays: list[np.ndarray]) -> dict[str, Any]:
    if len({array.shape for array in arrays}) > 1:  # the tags of sentences
        longest = max(len(array) for array in arrays)
        filler = "" if datatype == "BYTES" else 0
        arrays = [np.pad(array, (0, longest - len(array)), constant_values=filler) for array in arrays]
    stacked = np.stack(arrays)
    return {"name": name, "datatype": datatype, "shape": list(stacked.shape), "data": stacked.ravel().tolist()}
