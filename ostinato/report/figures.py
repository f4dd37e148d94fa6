"""Plots of a run as matplotlib figures, each narrow enough for a phone; a wide page shows them side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.explanation.canvas import new_figure
from ostinato.report.groups import Group
from ostinato.report.wording import metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#2678dc", "#e66101", "#808080"  # safe for colour-blind readers, visible on white and on black
STRONGEST = 0.55  # highest opacity of a cell: numbers on it stay readable
LONGEST_LABEL = 24  # characters
INCHES_PER_CHARACTER = 0.075  # of an axis label
SMALL = (3.5, 2.5)  # inches


def plot_learning_curve(history: Sequence[dict[str, Any]], metric: str, best_epoch: int) -> "Figure":
    """A metric over the epochs, for the splits whose history has it, with the best epoch marked."""
    figure, axes = new_axes(*SMALL)
    axes.locator_params(axis="x", integer=True)
    axes.ticklabel_format(axis="y", useOffset=False)
    epochs = [entry["epoch"] for entry in history]
    for split, colour, line in (("train", BLUE, "--"), ("validation", ORANGE, "-")):
        if f"{split}_{metric}" in history[0]:
            values = [entry[f"{split}_{metric}"] for entry in history]
            axes.plot(
                epochs, values, color=colour, linestyle=line, marker="o" if len(epochs) < 3 else None, label=split
            )
    axes.axvline(best_epoch, color=GREY, linewidth=1, linestyle=":", label=f"epoch {best_epoch}, used")
    axes.set(xlabel="epoch", ylabel=metric_name(metric))
    axes.legend(frameon=False, fontsize=8)
    return figure


def plot_confusion_matrix(confusion: Sequence[Sequence[int]], labels: Sequence[str]) -> "Figure":
    """Counts of each true class (row) by predicted class (column), shaded by their share of the true class."""
    counts = np.asarray(confusion)
    C = len(labels)
    names = [shorten(label) for label in labels]
    widest, cell = INCHES_PER_CHARACTER * max(map(len, names)), 0.4 if counts.max() < 1000 else 0.5
    rotated = widest > cell
    figure, axes = new_axes(cell * C + widest + 0.6, cell * C + (widest if rotated else 0.2) + 0.4)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cells = np.broadcast_to(np.array([*_rgb(BLUE), 0.0]), (C, C, 4)).copy()
    cells[..., 3] = shares * STRONGEST
    axes.pcolormesh(cells, edgecolor=(*_rgb(GREY), 0.35), linewidth=0.5)
    for row, column in np.ndindex(C, C):
        axes.text(column + 0.5, row + 0.5, f"{counts[row, column]:,}", ha="center", va="center", fontsize=8)
    centres = np.arange(C) + 0.5
    axes.set_xticks(centres, names, rotation=90 if rotated else 0, parse_math=False)
    axes.set_yticks(centres, names, parse_math=False)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="predicted", ylabel="true", aspect="equal")
    return figure


def plot_reliability(groups: Sequence[Group]) -> "Figure":
    """Accuracy against confidence, with 95 % intervals; a calibrated model lies on the diagonal."""
    figure, axes = new_axes(*SMALL)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    _plot_groups(axes, [group.mean for group in groups], groups)
    lowest = min(min(group.mean, group.interval[0]) for group in groups)
    axes.set(
        xlim=(max(0, lowest - 0.05), 1.02), ylim=(max(0, lowest - 0.05), 1.02), xlabel="confidence", ylabel="accuracy"
    )
    return figure


def plot_confidence(groups: Sequence[Group]) -> "Figure":
    """The number of predictions in each bin of confidence."""
    figure, axes = new_axes(*SMALL)
    positions = range(len(groups))
    axes.bar(positions, [group.n for group in groups], color=BLUE, width=0.8)
    axes.set_xticks(positions, [f"{group.mean:.2f}" for group in groups], rotation=90)
    axes.set(xlabel="mean confidence of the bin", ylabel="predictions")
    return figure


def plot_by_length(groups: Sequence[Group], unit: str, metric: str) -> "Figure":
    """The mean score of each group of lengths, with 95 % intervals."""
    figure, axes = new_axes(*SMALL)
    positions = list(range(len(groups)))
    _plot_groups(axes, positions, groups)
    names = [span(group) for group in groups]
    axes.set_xticks(positions, names, rotation=30 if sum(map(len, names)) > 30 else 0)
    axes.set(xlabel=f"length in {unit}", ylabel=metric, xlim=(-0.5, len(groups) - 0.5))
    return figure


def plot_by_share(groups: Sequence[Group], metric: str) -> "Figure":
    """The mean score after each share of the sequences, with 95 % intervals."""
    figure, axes = new_axes(*SMALL)
    _plot_groups(axes, [100 * group.mean for group in groups], groups)
    axes.set(xlabel="share read in %", ylabel=metric, xlim=(0, 105))
    return figure


def span(group: Group) -> str:
    """The lengths of a group, as `12–15`."""
    first, last = f"{group.smallest:,.0f}", f"{group.largest:,.0f}"
    return first if first == last else f"{first}–{last}"


def shorten(label: str, longest: int = LONGEST_LABEL) -> str:
    """A label on one line, cut to the length that fits an axis."""
    line = " ".join(label.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _plot_groups(axes: "Axes", positions: Sequence[float], groups: Sequence[Group]) -> None:
    scores = np.array([group.score for group in groups])
    low, high = np.array([group.interval for group in groups]).T
    axes.errorbar(
        positions,
        scores,
        yerr=np.maximum([scores - low, high - scores], 0),
        fmt="o",
        color=BLUE,
        markersize=4,
        elinewidth=1.2,
        capsize=2,
    )


def new_axes(width: float, height: float) -> "tuple[Figure, Axes]":
    """An empty figure with one plot; sizes in inches."""
    figure = new_figure(width, height)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_fontsize(9)
    axes.yaxis.label.set_fontsize(9)
    return figure, axes


def _rgb(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(colour)
