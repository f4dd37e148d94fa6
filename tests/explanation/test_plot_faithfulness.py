"""The faithfulness plot shows the curves that were measured."""

import sys

import numpy as np
import pytest

from ostinato import explain
from ostinato.errors import MissingExtraError
from ostinato.explanation.faithfulness import measure
from ostinato.explanation.plot_faithfulness import plot_deletion


@pytest.fixture
def measured(make_linear):
    model = make_linear()
    return measure(model, explain(model, ["ACGTA", "GGAACC", "TTTACG"], method="occlusion", label="yes"))


def test_the_plot_shows_curves_random_means_and_bands(measured):
    pytest.importorskip("matplotlib")
    figure = plot_deletion(measured)
    figure.canvas.draw()
    curves = [(measured.deletion, measured.random_deletion), (measured.keeping, measured.random_keeping)]
    for axes, (curve, random) in zip(figure.axes, curves, strict=True):
        grey, orange = axes.lines
        np.testing.assert_allclose(orange.get_xydata(), np.column_stack([measured.shares, curve]))
        np.testing.assert_allclose(grey.get_ydata(), random.mean(axis=0))
        band = axes.collections[0].get_paths()[0].vertices
        for share, low, high in zip(measured.shares, random.min(axis=0), random.max(axis=0), strict=True):
            heights = band[np.isclose(band[:, 0], share), 1]
            assert (heights.min(), heights.max()) == pytest.approx((low, high))
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["5 random rankings", "occlusion"]


def test_without_matplotlib_the_error_names_the_extra(measured, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"matplotlib.*ostinato\[explain\]"):
        plot_deletion(measured)
