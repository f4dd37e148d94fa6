"""Plots of a comparison: means with intervals, quality against cost, and curves over size or length."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ostinato.comparison.results import SummaryRow
from ostinato.report.figures import BLUE, GREY, ORANGE, new_axes, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = (BLUE, ORANGE, "#1b9e77", "#a6569d", GREY, "#a6761d", "#d94f70", "#5e8c31")
MARKERS = "osD^vPX*"
LONGEST_NAME = 48  # characters; the end of a combination's name distinguishes it from the next


def plot_intervals(rows: Sequence[SummaryRow], baselines: Sequence[float | None], metric: str) -> "Figure":
    """Each combination's mean with its 95 % interval, a tick for each seed, and a dashed line for its baseline."""
    figure, axes = new_axes(6.0, 0.7 + 0.3 * len(rows))
    for y, (row, baseline) in enumerate(zip(rows, baselines, strict=True)):
        axes.plot(row.interval, [y, y], color=BLUE, linewidth=1.5)
        axes.plot(row.scores, [y] * len(row.scores), linestyle="", marker="|", color=ORANGE, markersize=7)
        axes.plot([row.mean], [y], marker="o", color=BLUE, markersize=5)
        if baseline is not None:
            axes.plot([baseline] * 2, [y - 0.4, y + 0.4], color=GREY, linewidth=1.2, linestyle="--")
    axes.set_yticks(range(len(rows)), [shorten(row.name, LONGEST_NAME) for row in rows], parse_math=False)
    axes.invert_yaxis()
    axes.set(xlabel=metric)
    return figure


def plot_pareto(
    rows: Sequence[SummaryRow],
    front: Sequence[SummaryRow],
    cost: Callable[[SummaryRow], float],
    *,
    cost_name: str,
    metric: str,
) -> "Figure":
    """The metric against a cost; a line joins the Pareto front."""
    figure, axes = new_axes(6.0, 3.2)
    line = sorted((cost(row), row.mean) for row in front)
    axes.plot([x for x, _ in line], [y for _, y in line], color=GREY, linewidth=1)
    for number, row in enumerate(rows):
        colour, marker = _style(number)
        name = shorten(row.name, LONGEST_NAME)
        axes.plot([cost(row)], [row.mean], linestyle="", marker=marker, color=colour, markersize=6, label=name)
    axes.set(xlabel=cost_name, ylabel=metric)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def plot_curves(curves: Mapping[str, Sequence[SummaryRow]], key: str, metric: str) -> "Figure":
    """The metric over a numeric setting, with 95 % intervals: one curve for each combination of the other settings."""
    figure, axes = new_axes(5.0, 3.2)
    for number, (name, rows) in enumerate(curves.items()):
        colour, marker = _style(number)
        values = sorted((float(row.settings[key]), row.mean, *row.interval) for row in rows)
        x, mean, low, high = zip(*values, strict=True)
        axes.plot(x, mean, color=colour, marker=marker, markersize=4, linewidth=1.3, label=shorten(name, LONGEST_NAME))
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set(xscale="log", xlabel=key.rpartition(".")[2].replace("_", " "), ylabel=metric)
    ticks = sorted({float(row.settings[key]) for rows in curves.values() for row in rows})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)
    return figure


def _style(number: int) -> tuple[str, str]:
    """Colour and marker; the pair repeats only after 64."""
    return COLOURS[number % len(COLOURS)], MARKERS[(number + number // len(COLOURS)) % len(MARKERS)]
