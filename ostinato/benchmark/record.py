"""The results as JSON, with the versions and the machine, and as a plot."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ostinato.benchmark.rows import Goal, Row
from ostinato.nn.kernel import pool, variant
from ostinato.storage import write_atomically
from ostinato.versions import environment, installed

PEERS = ("jax", "keras", "matplotlib", "onnx", "onnxruntime")


@dataclass(frozen=True)
class Record:
    """Measured rows, and what they depend on.

    Args:
        date: as 2026-11-24.
        is_quick: whether each row took two seconds instead of half a minute.
        environment: versions and machine.
        kernel: the variant of the native kernel.
        thread_pool: the thread pool that the kernel uses.
        peers: the version of each optional package; None if not installed.
    """

    rows: Sequence[Row]
    date: str
    is_quick: bool
    environment: dict[str, Any]
    kernel: str
    thread_pool: str
    peers: dict[str, str | None]

    @classmethod
    def of(cls, rows: Sequence[Row], *, is_quick: bool) -> "Record":
        """The record of rows that were measured today on this machine."""
        peers = {name: installed(name) for name in PEERS}
        return cls(rows, date.today().isoformat(), is_quick, environment(), variant(), pool(), peers)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values; those of `environment` are at the top level."""
        return {
            "date": self.date,
            "quick": self.is_quick,
            **self.environment,
            "kernel": self.kernel,
            "thread_pool": self.thread_pool,
            "peers": self.peers,
            "rows": [row.to_json() for row in self.rows],
        }


def save(rows: Sequence[Row], path: Path, *, quick: bool) -> None:
    """Write the results as JSON and, if matplotlib is installed, a plot next to it.

    Raises:
        RunError: the file cannot be written.
    """
    record = Record.of(rows, is_quick=quick)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(record.to_json(), indent=2, ensure_ascii=False) + "\n")
    print(f"\nWritten: {path}")
    if record.peers["matplotlib"] is None:
        print("No plot: matplotlib is not installed. Install it with: pip install 'ostinato[bench]'")
    else:
        plot(rows, path.with_suffix(".png"))
        print(f"Written: {path.with_suffix('.png')}")


def plot(rows: Sequence[Row], path: Path) -> None:
    """For each goal, a dot at the measured value and a bar at the bound."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    goals = [(f"{row.name}\n{goal.metric}", goal) for row in rows for goal in row.goals if goal.value is not None]
    goals.reverse()  # the first at the top
    figure, axes = pyplot.subplots(figsize=(9, 1 + 0.55 * len(goals)), layout="constrained")
    for height, (_, goal) in enumerate(goals):
        _draw(axes, height, goal)
    axes.set_yticks(range(len(goals)), [label for label, _ in goals], fontsize=8)
    axes.set(xscale="log", xlabel="measured (dot) and goal (bar); blue: reached", ylim=(-0.6, len(goals) - 0.2))
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=120)
    write_atomically(path, drawn.getvalue())
    pyplot.close(figure)


def _draw(axes: Any, height: int, goal: Goal) -> None:
    bound = goal.at_least if goal.at_least is not None else goal.at_most
    assert bound is not None and goal.value is not None
    axes.plot([bound, goal.value], [height, height], color="0.8", zorder=1)
    axes.plot(bound, height, marker="|", markersize=16, markeredgewidth=2, color="black", zorder=2)
    axes.plot(goal.value, height, marker="o", color="tab:blue" if goal.is_reached else "tab:orange", zorder=3)
    label = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center", "fontsize": 8}
    axes.annotate(f"{goal.value:.2f}", (goal.value, height), **label)
