"""A trace as a plot: running answers, hidden states and gates over the steps."""

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from ostinato.explanation.canvas import new_figure
from ostinato.explanation.markup import AGAINST, FOR
from ostinato.explanation.plot_explanation import NAMED_TOKENS
from ostinato.explanation.trace import Trace
from ostinato.printable import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = 5  # labels with a line each
LONGEST_NAME = 14
DECIDED = "#c51b7d"
CANDIDATES = ("g", "n")  # by tanh, in −1 … 1; the other gates are by sigmoid, in 0 … 1


def plot_trace(trace: Trace) -> "Figure":
    """The running answers, and below them each direction of the top layer: its hidden state and gates, units × steps.

    One line per label for up to five labels, otherwise only that of the predicted label. A dashed line marks the step
    at which the model decided. Steps are counted from 1.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    maps = [(name, values) for layer in trace.top for name, values in {"h": layer.hidden, **layer.gates}.items()]
    heights = [1.5] + [1.1 if name == "h" else 0.7 for name, _ in maps]
    figure = new_figure(7, sum(heights) + 0.12 * len(heights) + 1.3)
    figure.suptitle(fill(trace.decision, 105), x=0.01, ha="left", fontsize=9, parse_math=False)
    running, *panels = figure.subplots(len(heights), sharex=True, height_ratios=heights)
    _plot_running(running, trace)
    for axes, (name, values) in zip(panels, maps, strict=True):
        _plot_map(axes, name, values)
    for axes, layer in zip(panels[:: len(panels) // len(trace.top)], trace.top, strict=True):
        axes.set_title(layer.name, fontsize=8, loc="left", pad=2)
    for axes in (running, *panels):
        if trace.decided is not None:
            axes.axvline(trace.decided + 1, color=DECIDED, linestyle="--", linewidth=1.0)
        axes.tick_params(bottom=axes is panels[-1], labelsize=8)
    _name_steps(panels[-1], trace)
    return figure


def _plot_running(axes: "Axes", trace: Trace) -> None:
    final = trace.chosen[-1]
    shown = range(len(trace.labels)) if len(trace.labels) <= MOST_LINES else [final]
    others = iter((AGAINST, "#1b7837", "#762a83", "#7f7f7f"))
    marker = "." if len(trace.steps) <= NAMED_TOKENS else None
    for label in shown:
        colour = FOR if label == final else next(others)
        axes.plot(trace.steps + 1, trace.running[:, label], color=colour, marker=marker, linewidth=1.4)
    if trace.quantity == "probability":
        axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel(trace.quantity, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    legend = axes.legend(axes.lines, [" "] * len(shown), loc="lower left", bbox_to_anchor=(0, 0.98), ncols=MOST_LINES)
    legend.set_frame_on(False)
    for text, label in zip(legend.get_texts(), shown, strict=True):  # `legend` itself ignores names that start with _
        text.set_fontsize(8)
        text.set_parse_math(False)
        text.set_text(_short(trace.labels[label]))


def _plot_map(axes: "Axes", name: str, values: np.ndarray) -> None:
    """Units × steps: from blue over white to orange around 0, or from white to black in 0 … 1."""
    from matplotlib.colors import LinearSegmentedColormap

    signed = name in ("h", *CANDIDATES)
    high = (float(np.abs(values).max()) or 1.0) if signed else 1.0
    low = -high if signed else 0.0
    colours = LinearSegmentedColormap.from_list("signed", [AGAINST, "white", FOR]) if signed else "Greys"
    smoothing = "nearest" if len(values) <= NAMED_TOKENS else "auto"  # `nearest` aliases if steps share a pixel
    extent = (0.5, len(values) + 0.5, 0, 1)
    image = axes.imshow(values.T, aspect="auto", cmap=colours, extent=extent, interpolation=smoothing)
    image.set_clim(low, high)
    axes.set_yticks([])
    axes.set_ylabel(name, rotation=0, ha="right", va="center")
    bar = axes.figure.colorbar(image, ax=axes, pad=0.01, fraction=0.03, aspect=8, ticks=[low, high], format="%.2g")
    bar.ax.tick_params(labelsize=7)


def _name_steps(axes: "Axes", trace: Trace) -> None:
    """The tokens below the last panel, if they fit."""
    if len(trace.tokens) > NAMED_TOKENS:
        axes.set_xlabel("step", fontsize=8)
        return
    names = [_short(token) for token in trace.tokens]
    rotation = 90 if max(map(len, names)) > 1 else 0
    axes.set_xticks(range(1, len(names) + 1), names, rotation=rotation, fontsize=8, parse_math=False)


def _short(name: object) -> str:
    shown = visible(name)
    return shown if len(shown) <= LONGEST_NAME else shown[: LONGEST_NAME - 1] + "…"
