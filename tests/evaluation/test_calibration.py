import numpy as np
import pytest
from scipy.special import softmax

from ostinato.errors import ConfigError
from ostinato.evaluation.calibration import brier_score, fit_temperature
from ostinato.evaluation.metrics import expected_calibration_error


def apply_temperature(logits, t):
    return softmax(logits / t, axis=1)


def calibrated_logits(B: int, C: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits and targets drawn with exactly their probabilities."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(B, C))
    targets = (softmax(logits, axis=1).cumsum(axis=1) < rng.random((B, 1))).sum(axis=1)
    return logits, np.minimum(targets, C - 1)


@pytest.mark.parametrize("factor", [0.25, 1.0, 4.0])
def test_known_temperature_is_recovered(factor):
    logits, targets = calibrated_logits(20_000, 3, seed=0)
    assert fit_temperature(logits * factor, targets) == pytest.approx(factor, rel=0.05)


def test_temperature_scales_with_the_logits():
    logits, targets = calibrated_logits(500, 4, seed=1)
    assert fit_temperature(3 * logits, targets) == pytest.approx(3 * fit_temperature(logits, targets), rel=1e-3)


def test_fitted_temperature_has_the_lowest_log_loss():
    logits, targets = calibrated_logits(400, 3, seed=2)
    fitted = fit_temperature(logits, targets)
    losses = {
        t: -np.log(apply_temperature(logits, t)[np.arange(400), targets]).mean()
        for t in [fitted, *np.geomspace(0.05, 20, 200)]
    }
    assert min(losses, key=losses.get) == pytest.approx(fitted, rel=0.05)
    assert losses[fitted] <= min(losses.values()) + 1e-7


def test_fitted_temperature_lowers_the_calibration_error():
    logits, targets = calibrated_logits(5000, 3, seed=3)
    before, after = (
        expected_calibration_error(targets, apply_temperature(3 * logits, t))
        for t in (1.0, fit_temperature(3 * logits, targets))
    )
    assert after < before / 5


def test_separable_data_stop_at_the_lower_bound():
    assert fit_temperature(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([0, 1])) == 0.05


def test_misleading_logits_stop_at_the_upper_bound():
    assert fit_temperature(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([1, 0])) == 20.0


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        ([[1.0, 0.0]], [0, 1], r"targets \(2,\) and logits \(1, 2\)"),
        (np.empty((0, 2)), np.empty(0, dtype=int), r"logits \(0, 2\)"),
        ([[1.0, 0.0], [np.inf, 0.0]], [0, 1], "row 1"),
        ([[1.0, 0.0], [0.0, 1.0]], [0, 2], "targets from 0 to 2"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(logits, targets, message):
    with pytest.raises(ConfigError, match=message):
        fit_temperature(np.array(logits), np.array(targets))


def test_brier_score_is_the_squared_distance_to_the_truth():
    probabilities = np.array([[0.75, 0.25], [0.0, 1.0], [1.0, 0.0]])
    assert brier_score(np.array([0, 1, 1]), probabilities) == pytest.approx((2 * 0.25**2 + 0 + 2) / 3)
