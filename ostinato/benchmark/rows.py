"""One row of the results: the time of each side, ratios between sides, and goals."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from ostinato.benchmark.arithmetic import matmul_flops
from ostinato.benchmark.timing import Sample, Side

HEADINGS = ("", "ms", "µs a token", "ratio to ours", "of matmul's rate", "samples", "dropped")


@dataclass(frozen=True)
class Timing:
    """How long one run of a side takes.

    Args:
        seconds: the median of the undisturbed samples, or of all samples if `is_busy`.
        tokens: steps that one run processes; 0 if the work has no steps.
        samples: the number of undisturbed samples.
        dropped: the number of disturbed samples.
        is_busy: whether the machine was busy during every sample.
    """

    seconds: float
    tokens: int
    samples: int
    dropped: int
    is_busy: bool

    @classmethod
    def of(cls, samples: Sequence[Sample], fastest: float, side: Side) -> "Timing":
        """Summarize samples; `fastest` is the calibration's fastest time in seconds."""
        undisturbed = [sample.seconds for sample in samples if sample.is_undisturbed(fastest)]
        seconds = median(undisturbed or [sample.seconds for sample in samples]) * side.scale
        return cls(seconds, side.tokens, len(undisturbed), len(samples) - len(undisturbed), not undisturbed)

    @property
    def us_per_token(self) -> float:
        """Microseconds per token; NaN if the work has no steps."""
        return self.seconds / self.tokens * 1e6 if self.tokens else math.nan


@dataclass(frozen=True)
class Goal:
    """A measured value and its bound.

    Args:
        metric: what was measured.
        value: None if it could not be measured.
        at_least: the lower bound.
        at_most: the upper bound.
    """

    metric: str
    value: float | None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_reached(self) -> bool | None:
        """Whether the value is within its bounds; None if it could not be measured."""
        if self.value is None:
            return None
        if self.at_least is not None and self.value < self.at_least:
            return False
        return self.at_most is None or self.value <= self.at_most

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values, and whether the goal is reached."""
        return {**asdict(self), "is_reached": self.is_reached}

    def __str__(self) -> str:
        value = "–" if self.value is None else f"{self.value:.2f}"
        bounds = [f"at least {self.at_least:g}"] if self.at_least is not None else []
        bounds += [f"at most {self.at_most:g}"] if self.at_most is not None else []
        verdict = {None: "not measured", True: "reached", False: "NOT REACHED"}[self.is_reached]
        return f"{self.metric}: {value}, {', '.join(bounds)}: {verdict}"


@dataclass
class Row:
    """One row of the results.

    Args:
        description: the work that is timed.
        timings: of each side, by its name; `ours` is Ostinato, `matmul` a matrix product.
        flops: multiplications and additions in the matrix products of one run; 0 if not counted.
        worst_error: the largest relative difference between a side's output or gradient and ours; None: not compared.
        values: other measurements, by name and unit.
        notes: missing libraries, and which part of the work was measured.
    """

    name: str
    description: str
    timings: dict[str, Timing] = field(default_factory=dict)
    flops: float = 0.0
    worst_error: float | None = None
    goals: list[Goal] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def ratio(self, *others: str) -> float | None:
        """The time of the fastest of the other sides, divided by ours; None if none of them was timed."""
        seconds = [self.timings[name].seconds for name in others if name in self.timings]
        return min(seconds) / self.timings["ours"].seconds if seconds and "ours" in self.timings else None

    def share_of_matmul(self, name: str) -> float | None:
        """A side's floating-point rate as a share of the matrix product's; None if it is not known."""
        if not self.flops or "matmul" not in self.timings or name == "matmul":
            return None
        return self.flops / self.timings[name].seconds / (matmul_flops() / self.timings["matmul"].seconds)

    def expect_ratio(self, *others: str, at_least: float) -> None:
        """Add a goal for the ratio to the fastest of the other sides."""
        self.goals.append(Goal(f"ratio to {' or '.join(others)}", self.ratio(*others), at_least))

    def table(self) -> Iterator[tuple[str, ...]]:
        """The cells under `HEADINGS`, one line for each side."""
        for name, timing in self.timings.items():
            share, ratio = self.share_of_matmul(name), None if name == "matmul" else self.ratio(name)
            yield (
                name + (" (machine busy)" if timing.is_busy else ""),
                f"{timing.seconds * 1e3:,.3f}",
                f"{timing.us_per_token:.3f}" if timing.tokens else "",
                "" if ratio is None else f"{ratio:.2f}",
                "" if share is None else f"{share:.0%}",
                str(timing.samples),
                str(timing.dropped),
            )

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values, with the ratio, the share of matmul's rate and the time per token of each side."""
        timings = {
            name: {
                **asdict(timing),
                "ratio": self.ratio(name),
                "share_of_matmul": self.share_of_matmul(name),
                "us_per_token": timing.us_per_token if timing.tokens else None,
            }
            for name, timing in self.timings.items()
        }
        return {**asdict(self), "timings": timings, "goals": [goal.to_json() for goal in self.goals]}
