"""Simple baselines: constant predictions, and linear models of simple features."""

from ostinato.evaluation.baselines.constant import label_frequencies, majority_baseline, mean_baseline, median_baseline
from ostinato.evaluation.baselines.linear import (
    LinearBaseline,
    linear_baseline,
    linear_multilabel_baseline,
    ridge_baseline,
)

__all__ = [
    "LinearBaseline",
    "label_frequencies",
    "linear_baseline",
    "linear_multilabel_baseline",
    "majority_baseline",
    "mean_baseline",
    "median_baseline",
    "ridge_baseline",
]
