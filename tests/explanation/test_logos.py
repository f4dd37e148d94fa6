"""Logos: the letters drawn are as high as what they say."""

import io
import sys
from itertools import groupby

import numpy as np
import pytest
from matplotlib.patches import PathPatch

from ostinato.errors import MissingExtraError
from ostinato.explanation.logos import BASES, RESIDUES, plot_logo, plot_profile
from ostinato.explanation.motifs import Motif, Occurrence

PROTEIN = "ACDEFGHIKLMNPQRSTVWY"


def stacks(figure):
    """(lowest, highest) of the letters drawn around each position."""
    (axes,) = figure.axes
    boxes = [patch.get_path().get_extents() for patch in axes.patches if isinstance(patch, PathPatch)]
    boxes = sorted((round((box.x0 + box.x1) / 2), box.y0, box.y1) for box in boxes)
    return {
        at: (min(low for _, low, _ in stack), max(high for _, _, high in stack)) for at, stack in by_position(boxes)
    }


def by_position(boxes):
    return [(at, list(stack)) for at, stack in groupby(boxes, lambda box: box[0])]


@pytest.fixture
def motif():
    return Motif("ACGT", np.array([[20, 0, 0, 0], [10, 10, 0, 0], [1, 2, 15, 2]]), [Occurrence(0, 0, "+")] * 20, 3.0)


def test_a_stack_is_as_high_as_the_positions_information(motif):
    drawn = stacks(plot_logo(motif))
    assert list(drawn) == [1, 2, 3]
    np.testing.assert_allclose([high for _, high in drawn.values()], motif.information, atol=1e-6)
    np.testing.assert_allclose([low for low, _ in drawn.values()], 0, atol=1e-6)


def test_a_profiles_letters_stand_above_and_below_the_line():
    profile = np.array([[2.0, 0, 0, -1.0], [0.5, 0.25, 0, 0]])
    drawn = stacks(plot_profile(profile, "ACGT", start=-1))
    assert list(drawn) == [-1, 0]
    np.testing.assert_allclose([drawn[-1], drawn[0]], [(-1.0, 2.0), (0.0, 0.75)], atol=1e-6)


def test_every_letter_has_a_colour():
    assert set(BASES) == set("ACGT")
    assert set(RESIDUES) == set(PROTEIN)


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_logos_are_saved_without_a_trace_in_pyplot(motif, kind):
    from matplotlib import pyplot as plt

    before = plt.get_fignums()
    protein = Motif(PROTEIN, np.random.default_rng(0).integers(30, size=(12, 20)), [Occurrence(0, 0, "+")] * 20, 1.0)
    for figure in (
        plot_logo(motif),
        plot_logo(protein),
        plot_profile(np.random.default_rng(1).normal(size=(60, 4)), "ACGT"),
    ):
        file = io.BytesIO()
        figure.savefig(file, format=kind)
        assert len(file.getvalue()) > 1000
    assert plt.get_fignums() == before


def test_a_missing_package_is_named(motif, monkeypatch):
    monkeypatch.setitem(sys.modules, "logomaker", None)
    with pytest.raises(MissingExtraError, match=r"'logomaker'.*ostinato\[explain\]"):
        plot_logo(motif)
