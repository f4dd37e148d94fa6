"""Plots of predicted numbers beside the actual ones."""

from typing import TYPE_CHECKING

import numpy as np

from ostinato.report.figures import BLUE, GREY, SMALL, new_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_POINTS = 2_000  # more would make the page heavy
MAX_BINS = 30


def plot_predictions(targets: np.ndarray, predictions: np.ndarray, name: str) -> "Figure":
    """Predicted against actual numbers (B,); a perfect model lies on the dashed line."""
    figure, axes = new_axes(*SMALL)
    rows = np.unique(np.linspace(0, len(targets) - 1, min(len(targets), MAX_POINTS)).round().astype(int))
    ends = [min(targets.min(), predictions.min()), max(targets.max(), predictions.max())]
    axes.plot(ends, ends, color=GREY, linewidth=1, linestyle="--")
    axes.scatter(targets[rows], predictions[rows], s=6, color=BLUE, alpha=0.5, linewidths=0)
    axes.set_xlabel(f"actual {name}", parse_math=False)
    axes.set_ylabel(f"predicted {name}", parse_math=False)
    return figure


def plot_residuals(residuals: np.ndarray, name: str) -> "Figure":
    """The number of test rows by residual (B,), the prediction less the actual number."""
    figure, axes = new_axes(*SMALL)
    axes.hist(residuals, bins=int(np.clip(np.sqrt(len(residuals)), 5, MAX_BINS)), color=BLUE)
    axes.axvline(0, color=GREY, linewidth=1, linestyle="--")
    axes.set_xlabel(f"residual of {name}", parse_math=False)
    axes.set_ylabel("test rows")
    return figure
