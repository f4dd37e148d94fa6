"""An explanation as a picture: a bar for each token."""

from typing import TYPE_CHECKING

from ostinato.explanation.attribution import Explanation
from ostinato.explanation.canvas import new_figure
from ostinato.explanation.markup import AGAINST, FOR

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMED_TOKENS = 60  # more do not fit under an axis


def plot_explanation(explanation: Explanation) -> "Figure":
    """The score of each token over the sequence; orange speaks for the label, blue against it.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = new_figure(7, 2.6)
    axes = figure.subplots()
    scores, places = explanation.scores, range(len(explanation.scores))
    axes.bar(
        places,
        scores,
        color=[FOR if score > 0 else AGAINST for score in scores],
        width=1.0 if len(scores) > NAMED_TOKENS else 0.8,
    )
    axes.axhline(0, color="black", linewidth=0.6)
    if explanation.is_text and len(scores) <= NAMED_TOKENS:
        turned = max(map(len, explanation.tokens)) > 1
        axes.set_xticks(
            places, explanation.tokens, rotation=90 if turned else 0, fontsize=8 if turned else 9, parse_math=False
        )
    else:
        axes.set_xlabel("token" if explanation.is_text else "step")
    axes.set_ylabel("attention weight" if explanation.method == "attention" else "log-odds")
    axes.set_title(
        f"{explanation.label}: {explanation.probability:.3f} ({explanation.method})", fontsize=10, parse_math=False
    )
    axes.spines[["top", "right"]].set_visible(False)
    return figure
