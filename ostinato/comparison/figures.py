"""Pictures of a comparison: means with their intervals, quality against cost, and curves over size or length."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ostinato.comparison.table import main_baseline
from ostinato.report.figures import BLUE, GREY, ORANGE, new_axes, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = (BLUE, ORANGE, "#1b9e77", "#a6569d", GREY, "#a6761d", "#d94f70", "#5e8c31")
MARKERS = "osD^vPX*"
LONGEST_NAME = 48  # the end of a combination's name tells it from the next
Row = dict[str, Any]


def plot_intervals(rows: Sequence[Row], metric: str) -> "Figure":
    """Each combination's mean with its 95 % interval, every seed as a faint point, the baseline as a line."""
    figure, axes = new_axes(6.0, 0.7 + 0.3 * len(rows))
    for place, row in enumerate(rows):
        low, high = row["interval"]
        axes.plot([low, high], [place, place], color=BLUE, linewidth=1.5)
        axes.plot(row["scores"], [place] * len(row["scores"]), linestyle="", marker="|", color=ORANGE, markersize=7)
        axes.plot([row["mean"]], [place], marker="o", color=BLUE, markersize=5)
        baseline = main_baseline(row)
        if baseline is not None:
            axes.plot([baseline] * 2, [place - 0.4, place + 0.4], color=GREY, linewidth=1.2, linestyle="--")
    axes.set_yticks(range(len(rows)), [shorten(row["name"], LONGEST_NAME) for row in rows], parse_math=False)
    axes.invert_yaxis()
    axes.set(xlabel=metric)
    return figure


def plot_front(
    rows: Sequence[Row], cost: Callable[[Row], float], what: str, metric: str, front: Sequence[Row]
) -> "Figure":
    """The metric against a cost; a line joins the combinations that no other beats in both."""
    figure, axes = new_axes(6.0, 3.2)
    line = sorted((cost(row), row["mean"]) for row in front)
    axes.plot([x for x, _ in line], [y for _, y in line], color=GREY, linewidth=1)
    for number, row in enumerate(rows):
        colour, marker = _look(number)
        axes.plot(
            [cost(row)],
            [row["mean"]],
            linestyle="",
            marker=marker,
            color=colour,
            markersize=6,
            label=shorten(row["name"], LONGEST_NAME),
        )
    axes.set(xlabel=what, ylabel=metric)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def plot_curves(curves: dict[str, list[Row]], key: str, metric: str) -> "Figure":
    """The metric over a numeric setting, with 95 % intervals: a curve for each combination of the others."""
    figure, axes = new_axes(5.0, 3.2)
    for number, (name, rows) in enumerate(curves.items()):
        colour, marker = _look(number)
        values = sorted((float(row["settings"][key]), row["mean"], *row["interval"]) for row in rows)
        x, mean, low, high = zip(*values, strict=True)
        axes.plot(x, mean, color=colour, marker=marker, markersize=4, linewidth=1.3, label=shorten(name, LONGEST_NAME))
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set(xscale="log", xlabel=key.rpartition(".")[2].replace("_", " "), ylabel=metric)
    ticks = sorted({float(row["settings"][key]) for rows in curves.values() for row in rows})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)
    return figure


def _look(number: int) -> tuple[str, str]:
    """Colour and marker, different for as many as can be told apart."""
    return COLOURS[number % len(COLOURS)], MARKERS[(number + number // len(COLOURS)) % len(MARKERS)]
