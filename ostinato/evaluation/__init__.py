"""How good predictions are: metrics, calibration, intervals, and the baselines that a model must beat."""

from ostinato.evaluation.baselines import LinearBaseline, linear_baseline, majority_baseline
from ostinato.evaluation.bootstrap import bootstrap_intervals
from ostinato.evaluation.calibration import fit_temperature
from ostinato.evaluation.metrics import classification_metrics, expected_calibration_error

__all__ = [
    "LinearBaseline",
    "bootstrap_intervals",
    "classification_metrics",
    "expected_calibration_error",
    "fit_temperature",
    "linear_baseline",
    "majority_baseline",
]
