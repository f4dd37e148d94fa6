"""Measures rows: checks that all sides compute the same, times them in turn, and prints the result."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ostinato.benchmark.arithmetic import matmul_side
from ostinato.benchmark.rows import HEADINGS, Row, Timing
from ostinato.benchmark.timing import FULL, Calibration, Effort, Side, interleave, plan
from ostinato.errors import OstinatoError
from ostinato.report.terminal import print_table

TOLERANCE = 1e-4  # relative; float32 sums over thousands of steps differ by less


class DisagreementError(OstinatoError):
    """Two sides of a row compute different results."""


class Bench:
    """Measures and prints rows.

    Attributes:
        rows: those added so far.
    """

    def __init__(self, effort: Effort = FULL, device: str = "cpu") -> None:
        self.effort, self.device = effort, torch.device(device)
        self.calibration = Calibration()
        self.rows: list[Row] = []

    def compare(
        self, name: str, description: str, sides: Mapping[str, Side | None], *, flops: float = 0.0, matmul: bool = True
    ) -> Row:
        """Check that the sides agree, then time them in turn.

        Args:
            sides: None for a side whose package is not installed.
            flops: multiplications and additions in the matrix products of one run; 0 if not counted.
            matmul: also time a matrix product.

        Raises:
            DisagreementError: an output or a gradient differs from ours by more than `TOLERANCE`.
        """
        present = {side_name: side for side_name, side in sides.items() if side is not None}
        row = Row(name, description, flops=flops, worst_error=check_agreement(present))
        row.notes += [
            f"{missing} is not installed. Install it with: pip install 'ostinato[bench]'"
            for missing in sides
            if missing not in present
        ]
        if matmul:
            present["matmul"] = matmul_side(self.device)
        repeats, rounds = plan(present, self.effort)
        samples = interleave(present, repeats, rounds, self.calibration)
        fastest = self.calibration.fastest
        row.timings = {side: Timing.of(taken, fastest, present[side]) for side, taken in samples.items()}
        if any(timing.is_busy for timing in row.timings.values()):
            row.notes.append("The machine was busy during every sample of a side: do not quote these timings.")
        return row

    def add(self, row: Row) -> None:
        """Print a row and append it to `rows`."""
        self.rows.append(row)
        print(f"\n{row.name}: {row.description}")
        if row.timings:
            print_table(HEADINGS, list(row.table()))
        for name, value in row.values.items():
            print(f"  {name}: {value:,.1f}")
        if row.worst_error is not None:
            print(f"  largest relative difference: {row.worst_error:.1e}")
        for line in (*row.goals, *row.notes):
            print(f"  {line}")

    def skip(self, name: str, reason: str) -> None:
        """Print and append a row that cannot be measured here."""
        self.add(Row(name, "skipped", notes=[reason]))


def check_agreement(sides: Mapping[str, Side]) -> float | None:
    """The largest relative difference between the first side's answer and another's; None with fewer than two answers.

    Raises:
        DisagreementError: it is above `TOLERANCE`, or NaN.
    """
    answers = {name: side.answer() for name, side in sides.items() if side.answer is not None}
    if len(answers) < 2:
        return None
    (first, expected), *others = answers.items()
    errors = {
        (name, index): relative_error(tensor, reference)
        for name, answer in others
        for index, (reference, tensor) in enumerate(zip(expected, answer, strict=False))
    }
    (name, index), worst = max(errors.items(), key=lambda item: (item[1] != item[1], item[1]))  # NaN is the largest
    if not worst <= TOLERANCE:
        raise DisagreementError(
            f"{name} and {first} differ by {worst:.1e} in tensor {index} of their answers. "
            f"Expected at most {TOLERANCE:g}. Correct one of them."
        )
    return worst


def relative_error(tensor: Tensor, reference: Tensor) -> float:
    """The norm of the difference over the norm of `reference`, in float64."""
    tensor, reference = (each.detach().double().cpu() for each in (tensor, reference))
    assert tensor.shape == reference.shape, f"shapes {tuple(tensor.shape)} and {tuple(reference.shape)}"
    return float((tensor - reference).norm() / reference.norm().clamp(min=1e-30))
