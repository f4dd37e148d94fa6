"""Sequence logos: letters stacked at each position, as high as their information or score."""

from typing import TYPE_CHECKING

import numpy as np

from ostinato.errors import MissingExtraError
from ostinato.explanation.motifs import Motif

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The usual hues (bases as in most logos; residues by chemistry as in WebLogo: basic, acidic, amide, polar,
# hydrophobic), all of medium lightness: visible on white and on dark.
BASES = {"A": "#1f9d3a", "C": "#2f7be0", "G": "#e08e00", "T": "#dd3b3b"}
CHEMISTRY = {"KRH": "#2f7be0", "DE": "#dd3b3b", "NQ": "#b457c9", "GSTYC": "#1f9d3a", "AVLIPWFM": "#858585"}
RESIDUES = {letter: colour for group, colour in CHEMISTRY.items() for letter in group}
LETTER_INCHES = 0.32
MARGIN_INCHES = 0.8


def plot_logo(motif: Motif) -> "Figure":
    """A motif's information logo: the bits of each position, divided among the letters by their probabilities.

    Raises:
        MissingExtraError: logomaker or matplotlib is not installed.

    Source: Schneider & Stephens (1990), without their small-sample correction, which the pseudocounts replace.
    """
    figure, axes = _draw(motif.probabilities * motif.information[:, None], motif.letters, start=1)
    axes.set_ylim(0, np.log2(len(motif.letters)))
    axes.set_ylabel("bits")
    axes.set_title(f"{motif.seqlets} windows, {motif.score:+.1f} log-odds", fontsize=10)
    return figure


def plot_profile(profile: np.ndarray, letters: str, *, start: int = 0) -> "Figure":
    """The logo of a `position_profile` (T, A); letters below the line speak against the label.

    Args:
        start: the number of the first position; −30 puts 0 in the middle of 60.

    Raises:
        MissingExtraError: logomaker or matplotlib is not installed.
    """
    figure, axes = _draw(profile, letters, start=start)
    axes.set_ylabel("mean log-odds")
    axes.set_xlabel("position")
    return figure


def _draw(heights: np.ndarray, letters: str, *, start: int) -> tuple["Figure", "Axes"]:
    """Letters of these heights (T, A) on a figure with transparent background."""
    try:
        import logomaker  # type: ignore[import-not-found, import-untyped, unused-ignore]
        import pandas as pd  # type: ignore[import-not-found, import-untyped, unused-ignore]
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(error.name or "logomaker", "explain", "A sequence logo") from None
    wide = min(12.0, max(3.0, MARGIN_INCHES + LETTER_INCHES * len(heights)))
    figure = Figure(figsize=(wide, 2.2), layout="constrained", facecolor="none")
    axes = figure.subplots()
    frame = pd.DataFrame(heights, columns=list(letters), index=range(start, start + len(heights)))
    logomaker.Logo(frame, ax=axes, color_scheme=BASES if letters == "ACGT" else RESIDUES, show_spines=False)
    axes.set_facecolor("none")
    axes.spines["left"].set_visible(True)
    axes.axhline(0, color="black", linewidth=0.6)
    if len(heights) <= 20:
        axes.set_xticks(frame.index)
    return figure, axes
