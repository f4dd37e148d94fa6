"""Figures of a run: what is drawn is what was measured."""

import io
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from ostinato.errors import MissingExtraError
from ostinato.report.figures import (
    BLUE,
    STRONGEST,
    plot_by_length,
    plot_confidence,
    plot_confusion_matrix,
    plot_learning_curve,
    plot_reliability,
    shorten,
)
from ostinato.report.groups import Group

HISTORY = [
    {"epoch": 1, "train_loss": 0.9, "validation_loss": 0.8, "validation_accuracy": 0.6},
    {"epoch": 2, "train_loss": 0.5, "validation_loss": 0.4, "validation_accuracy": 0.9},
    {"epoch": 3, "train_loss": 0.3, "validation_loss": 0.6, "validation_accuracy": 0.8},
]
GROUPS = [Group(5, 6.5, 8, 10, 0.5, (0.24, 0.76)), Group(9, 9.0, 9, 4, 1.0, (0.51, 1.0))]


def luminance(colour):
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def lines_of(figure):
    return {line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].lines}


def test_learning_curve_has_both_splits_and_the_best_epoch():
    lines = lines_of(plot_learning_curve(HISTORY, "loss", 2))
    assert lines["train"] == [[1, 0.9], [2, 0.5], [3, 0.3]]
    assert lines["validation"] == [[1, 0.8], [2, 0.4], [3, 0.6]]
    assert lines["epoch 2, used"] == [[2, 0], [2, 1]]
    assert "train" not in lines_of(plot_learning_curve(HISTORY, "accuracy", 2))


def test_confusion_matrix_shows_counts_and_shades_them_by_their_share_of_the_true_class():
    figure = plot_confusion_matrix([[3, 1], [0, 1500]], ["yes", "no"])
    axes = figure.axes[0]
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
        ((0.5, 0.5), "3"),
        ((1.5, 0.5), "1"),
        ((0.5, 1.5), "0"),
        ((1.5, 1.5), "1,500"),
    }
    figure.draw_without_rendering()
    shades = axes.collections[0].get_facecolor().reshape(-1, 4)
    np.testing.assert_allclose(shades[:, 3], [0.75 * STRONGEST, 0.25 * STRONGEST, 0, STRONGEST])
    np.testing.assert_allclose(shades[:, :3], [to_rgb(BLUE)] * 4)
    assert axes.get_ylim() == (2, 0)  # the first class on top


@pytest.mark.parametrize(("ink", "ground"), [("#1a1a1a", "#ffffff"), ("#e4e4e2", "#111111")])
def test_numbers_can_be_read_on_the_strongest_shade(ink, ground):
    shade = STRONGEST * np.array(to_rgb(BLUE)) + (1 - STRONGEST) * np.array(to_rgb(ground))
    dark, light = sorted(luminance(colour) for colour in (to_rgb(ink), shade))
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, level AA


def test_confusion_matrix_has_room_for_a_class_that_no_test_row_has():
    assert len(plot_confusion_matrix([[2, 0], [0, 0]], ["a", "b"]).axes[0].texts) == 4


def test_dollars_in_labels_are_not_math():
    figure = plot_confusion_matrix([[1, 0], [0, 1]], ["$\\frac$", "$"])
    figure.savefig(io.BytesIO(), format="png")  # a formula of that kind could not be drawn
    assert not any(label.get_parse_math() for label in figure.axes[0].get_xticklabels())


def test_reliability_and_length_plots_show_accuracy_with_its_interval():
    for figure, positions in (
        (plot_reliability(GROUPS), [6.5, 9.0]),
        (plot_by_length(GROUPS, "tokens", "accuracy"), [0, 1]),
    ):
        container = figure.axes[0].containers[0]
        assert container[0].get_xydata().tolist() == [[positions[0], 0.5], [positions[1], 1.0]]
        bars = np.array([segment[:, 1] for segment in container[2][0].get_segments()])
        np.testing.assert_allclose(bars, [[0.24, 0.76], [0.51, 1.0]])


def test_groups_are_labelled_by_length_and_counted():
    assert [label.get_text() for label in plot_by_length(GROUPS, "steps", "accuracy").axes[0].get_xticklabels()] == [
        "5–8",
        "9",
    ]
    assert [bar.get_height() for bar in plot_confidence(GROUPS).axes[0].patches] == [10, 4]


def test_long_labels_are_cut_and_stand_on_one_line():
    assert shorten("a\nb") == "a b"
    assert shorten("x" * 24) == "x" * 24
    assert shorten("x" * 25) == "x" * 23 + "…"


def test_missing_matplotlib_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match="'matplotlib'.*ostinato\\[explain\\]"):
        plot_confidence(GROUPS)
