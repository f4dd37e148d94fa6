"""An explanation as a bar chart."""

from typing import TYPE_CHECKING

from ostinato.explanation.canvas import new_figure
from ostinato.explanation.explanation import Explanation
from ostinato.explanation.markup import AGAINST, FOR

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMED_TOKENS = 60  # more do not fit under an axis


def plot_explanation(explanation: Explanation) -> "Figure":
    """A bar with the score of each token; orange speaks for the answer, blue against it.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = new_figure(7, 2.6)
    axes = figure.subplots()
    scores, steps = explanation.scores, range(len(explanation.scores))
    colours = [FOR if score > 0 else AGAINST for score in scores]
    axes.bar(steps, scores, color=colours, width=1.0 if len(scores) > NAMED_TOKENS else 0.8)
    axes.axhline(0, color="black", linewidth=0.6)
    if explanation.is_text and len(scores) <= NAMED_TOKENS:
        is_turned = max(map(len, explanation.tokens)) > 1
        rotation, size = (90, 8) if is_turned else (0, 9)
        axes.set_xticks(steps, explanation.tokens, rotation=rotation, fontsize=size, parse_math=False)
    else:
        axes.set_xlabel("token" if explanation.is_text else "step")
    axes.set_ylabel(explanation.unit)
    title = f"{explanation.title}: {explanation.shown_value} ({explanation.method})"
    axes.set_title(title, fontsize=10, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
