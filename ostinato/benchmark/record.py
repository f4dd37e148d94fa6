"""The measured rows as JSON, with all that they depend on, and as a plot."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from ostinato.benchmark.timing import Row
from ostinato.nn.kernel import pool, variant
from ostinato.versions import environment, installed

PEERS = ("jax", "keras", "matplotlib", "onnx", "onnxruntime")


def save(rows: Sequence[Row], path: Path, *, quick: bool) -> None:
    """Write the figures and all that they depend on as JSON, and beside it the plot where matplotlib is installed."""
    facts = {
        "date": date.today().isoformat(),
        "quick": quick,
        **environment(),
        "kernel": variant(),
        "thread_pool": pool(),
    }
    peers = {name: installed(name) for name in PEERS}
    told = [as_json(row) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({**facts, "peers": peers, "rows": told}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(f"\nWritten: {path}")
    if peers["matplotlib"] is None:
        print("No plot: matplotlib is not installed; get it with: pip install 'ostinato[bench]'")
    else:
        plot(rows, path.with_suffix(".png"))
        print(f"Written: {path.with_suffix('.png')}")


def as_json(row: Row) -> dict[str, Any]:
    """A row with the figures that follow from it."""
    told = asdict(row)
    for name, timing in row.timings.items():
        shown = {
            "ratio": row.ratio(name),
            "share_of_matmul": row.share_of_matmul(name),
            "us_per_token": timing.us_per_token if timing.tokens else None,
        }
        told["timings"][name] |= shown
    for goal, entry in zip(row.goals, told["goals"], strict=True):
        entry["reached"] = goal.reached
    return told


def plot(rows: Sequence[Row], path: Path) -> None:
    """A dot for each goal's figure, a bar where it should be."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    goals = [(f"{row.name}\n{goal.figure}", goal) for row in rows for goal in row.goals if goal.value is not None]
    figure, axes = pyplot.subplots(figsize=(9, 1 + 0.55 * len(goals)), layout="constrained")
    for height, (_, goal) in enumerate(reversed(goals)):
        bound = goal.at_least if goal.at_least is not None else goal.at_most
        assert bound is not None and goal.value is not None
        axes.plot([bound, goal.value], [height, height], color="0.8", zorder=1)
        axes.plot(bound, height, marker="|", markersize=16, markeredgewidth=2, color="black", zorder=2)
        axes.plot(goal.value, height, marker="o", color="tab:blue" if goal.reached else "tab:orange", zorder=3)
        axes.annotate(
            f"{goal.value:.2f}",
            (goal.value, height),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(goals)), [label for label, _ in reversed(goals)], fontsize=8)
    axes.set(xscale="log", xlabel="measured (dot) and to reach (bar); blue: reached", ylim=(-0.6, len(goals) - 0.2))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
