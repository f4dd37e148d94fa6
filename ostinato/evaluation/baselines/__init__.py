"""Simple baselines: constant predictions, and linear models of simple features."""

from ostinato.evaluation.baselines.constant import label_frequencies, majority_baseline, mean_baseline, median_baseline
from ostinato.evaluation.baselines.heads import LinearModel, class_head, label_head, number_head
from ostinato.evaluation.baselines.linear import (
    LinearBaseline,
    linear_baseline,
    linear_multilabel_baseline,
    ridge_baseline,
)
from ostinato.evaluation.baselines.ridge import ridge_classes, ridge_labels, ridge_numbers
from ostinato.evaluation.baselines.selection import Crossfitted, Selection, fit_on_features

__all__ = [
    "Crossfitted",
    "LinearBaseline",
    "LinearModel",
    "Selection",
    "class_head",
    "fit_on_features",
    "label_frequencies",
    "label_head",
    "linear_baseline",
    "linear_multilabel_baseline",
    "majority_baseline",
    "mean_baseline",
    "median_baseline",
    "number_head",
    "ridge_baseline",
    "ridge_classes",
    "ridge_labels",
    "ridge_numbers",
]
