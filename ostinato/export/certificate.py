"""Compare the answers of an ONNX file in ONNX Runtime with those of our own engine."""

import math
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import numpy as np

from ostinato.errors import RunError
from ostinato.export.quantization import Quantization
from ostinato.export.runner import runtime_errors
from ostinato.runs.json_model import JsonModel
from ostinato.tasks.onnx import OnnxModel
from ostinato.tasks.portable import Arrays

TOLERANCE = 1e-5  # of float32 against float32
UNEQUAL = 1e30  # the difference between outputs that cannot be compared


class Certificate(JsonModel):
    """How far a file's answers are from those of our own engine.

    Args:
        holds: in each batch, the difference is at most the tolerance more than the rounding error of our own engine;
            and `quantization` holds, if there is any.
        differences: for each output the largest ‖theirs − ours‖ / max(‖ours‖, √n) of a batch with n numbers; numbers in
            the units of targets are taken in deviations.
        rounding: the largest difference of the same kind between our own engine in float32 and in float64.
        tolerance: see `holds`.
        batches, sequences: how many were compared.
        lengths: the shortest and the longest sequence of them.
        runtime: name and version.
        date: UTC, ISO 8601.
        quantization: of an int8 file, its comparison with the float32 file, which all the other fields are about.
    """

    holds: bool
    differences: dict[str, float]
    rounding: dict[str, float]
    tolerance: float
    batches: int
    sequences: int
    lengths: tuple[int, int]
    runtime: str
    date: str
    quantization: Quantization | None = None

    def with_quantization(self, found: Quantization) -> "Certificate":
        """The certificate of the int8 file."""
        return self.model_copy(update={"quantization": found, "holds": self.holds and found.holds})

    def lines(self) -> Iterator[str]:
        """The certificate in sentences."""
        if self.quantization is not None:
            yield from self.quantization.lines()
            yield "The float32 file that it was made from:"
        shown = ", ".join(f"{name} {each:.1e}" for name, each in self.differences.items())
        rounding = ", ".join(f"{name} {each:.1e}" for name, each in self.rounding.items())
        yield f"Largest relative difference from our engine: {shown} (allowed: {self.tolerance:.0e} plus rounding)."
        yield f"Rounding error of our engine in float32: {rounding}."
        yield (
            f"Compared on {self.sequences} sequences of {self.lengths[0]} to {self.lengths[1]} steps in {self.batches} "
            f"batches, with {self.runtime}, {self.date}."
        )


def certify(model: OnnxModel, session: Any) -> Certificate:
    """Compare a session with our own engine on random sequences of many lengths, alone and in mixed batches."""
    import onnxruntime

    random = np.random.default_rng(0)
    differences, rounding, holds = dict[str, float](), dict[str, float](), True
    plans = _plans(model.longest, random)
    for lengths in plans:
        for name, difference, own in _compare(model, session, random, lengths):
            holds &= difference <= TOLERANCE + own
            differences[name] = max(difference, differences.get(name, 0.0))
            rounding[name] = max(own, rounding.get(name, 0.0))
    sizes = [length for lengths in plans for length in lengths]
    return Certificate(
        holds=holds,
        differences=differences,
        rounding=rounding,
        tolerance=TOLERANCE,
        batches=2 * len(plans),
        sequences=len(sizes),
        lengths=(min(sizes), max(sizes)),
        runtime=f"onnxruntime {onnxruntime.__version__}",
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _compare(
    model: OnnxModel, session: Any, random: np.random.Generator, lengths: list[int]
) -> Iterator[tuple[str, float, float]]:
    """Each output's name, difference and own rounding error, for random sequences in two orders."""
    inputs = model.draw(random, lengths)
    ours, exact = model.reference(inputs), model.exact(inputs)
    for rows in (np.arange(len(lengths)), random.permutation(len(lengths))):
        theirs = _run(session, _select(model, inputs, rows), ours)
        for name, expected in ours.items():
            unit = model.outputs[name].unit
            yield name, _difference(theirs[name], expected[rows], unit), _difference(expected, exact[name], unit)


def _plans(longest: int, random: np.random.Generator) -> list[list[int]]:
    """The lengths of each batch: alone and mixed, shorter and longer than in training, and one without steps."""
    half = max(longest // 2, 1)
    mixed = random.integers(1, longest + 1, 16).tolist() if longest else [1]
    return [[1], [2], [longest or 1], [2 * longest + 3], [1, 2, half, max(longest, 1)], mixed, [0, 3, 1, half]]


def _run(session: Any, inputs: Arrays, like: Arrays) -> Arrays:
    try:
        return dict(zip(like, session.run(list(like), inputs), strict=True))
    except runtime_errors() as error:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
        raise RunError(f"ONNX Runtime cannot run the graph on {shapes}: {str(error).splitlines()[0]}.") from None


def _select(model: OnnxModel, inputs: Arrays, rows: np.ndarray) -> Arrays:
    """The sequences at `rows`, in that order; an input that is shared by all sequences stays as it is."""
    return {name: array[rows] if model.inputs[name].shape[0] == "batch" else array for name, array in inputs.items()}


def _difference(theirs: np.ndarray, ours: np.ndarray, unit: float) -> float:
    """‖theirs − ours‖ / max(‖ours‖, unit·√n) over n numbers; 1e30 if the shapes differ or theirs is not finite."""
    real = ~np.isnan(ours)  # padding may hold anything
    if theirs.shape != ours.shape or not np.isfinite(theirs[real]).all():
        return UNEQUAL
    norm = max(float(np.linalg.norm(ours[real].astype(np.float64))), unit * math.sqrt(real.sum()) or 1.0)
    return float(np.linalg.norm(theirs[real].astype(np.float64) - ours[real])) / norm
