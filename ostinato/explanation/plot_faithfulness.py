"""Deletion and keeping curves, beside those of random rankings."""

from typing import TYPE_CHECKING

from ostinato.explanation.canvas import new_figure
from ostinato.explanation.faithfulness import Faithfulness
from ostinato.explanation.markup import FOR

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANDOM = "#7f7f7f"


def plot_deletion(faithfulness: Faithfulness) -> "Figure":
    """The mean answer over the share of steps masked, and over the share that is left.

    The grey line is the mean of the random rankings; the band reaches from the lowest to the highest of them. A good
    ranking is below the grey line on the left, and above it on the right.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = new_figure(7, 2.8)
    from matplotlib.ticker import PercentFormatter

    shares = faithfulness.shares
    panels = {
        "top-ranked steps masked": (faithfulness.deletion, faithfulness.random_deletion),
        "top-ranked steps left, others masked": (faithfulness.keeping, faithfulness.random_keeping),
    }
    for axes, (name, (curve, random)) in zip(figure.subplots(1, 2, sharey=True), panels.items(), strict=True):
        axes.fill_between(shares, random.min(axis=0), random.max(axis=0), color=RANDOM, alpha=0.3, linewidth=0)
        axes.plot(shares, random.mean(axis=0), color=RANDOM, label=f"{len(random)} random rankings")
        axes.plot(shares, curve, color=FOR, marker=".", label=faithfulness.method)
        axes.set_xlabel(name)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel(faithfulness.answer)
    figure.axes[0].legend(frameon=False, fontsize=9)
    return figure
