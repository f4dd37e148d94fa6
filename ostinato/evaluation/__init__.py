"""Metrics of predictions, their calibration, intervals and comparison, and simple baselines."""

from ostinato.evaluation.baselines import (
    LinearBaseline,
    linear_baseline,
    linear_multilabel_baseline,
    majority_baseline,
    ridge_baseline,
)
from ostinato.evaluation.bootstrap import bootstrap_intervals
from ostinato.evaluation.calibration import fit_temperature
from ostinato.evaluation.metrics import ClassificationMetrics, classification_metrics, expected_calibration_error
from ostinato.evaluation.results import Metric, Metrics

__all__ = [
    "ClassificationMetrics",
    "LinearBaseline",
    "Metric",
    "Metrics",
    "bootstrap_intervals",
    "classification_metrics",
    "expected_calibration_error",
    "fit_temperature",
    "linear_baseline",
    "linear_multilabel_baseline",
    "majority_baseline",
    "ridge_baseline",
]
