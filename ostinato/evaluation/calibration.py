"""Temperature scaling: makes predicted probabilities match observed frequencies."""

from collections.abc import Callable

import numpy as np

from ostinato.errors import ConfigError
from ostinato.evaluation.metrics import check_scores

LOWEST, HIGHEST = 0.05, 20.0


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """Find the temperature T in [0.05, 20] for which softmax(logits / T) has the lowest log-loss.

    Fit it on validation data, never on the test split. Where every example is right, the log-loss keeps falling as T
    falls, so the result is the lower bound: the data are too few to determine T.

    Args:
        logits: (B, C).
        targets: (B,) class indices.

    Raises:
        ConfigError: shapes do not match, there is no example, a logit is not finite or a target is not a class index.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2.
    """
    from scipy.special import logsumexp

    targets, logits = check_scores(targets, logits, "logits")
    check_finite(logits)
    of_target = logits[np.arange(len(targets)), targets]
    return best_temperature(lambda scale: float((logsumexp(logits * scale, axis=1) - of_target * scale).mean()))


def best_temperature(log_loss: Callable[[float], float]) -> float:
    """Find the temperature in [0.05, 20] with the lowest log-loss, given as a function of 1 / temperature."""
    from scipy.optimize import minimize_scalar

    def of_log(log_temperature: float) -> float:
        return log_loss(np.exp(-log_temperature))

    found = minimize_scalar(of_log, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded")
    candidates = [LOWEST, float(np.exp(found.x)), HIGHEST]  # the search approaches its bounds but never reaches them
    return min(candidates, key=lambda temperature: of_log(np.log(temperature)))


def brier_score(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean squared distance between the probabilities and the truth: 0 at best, 2 at worst.

    Args:
        targets: (B,) class indices.
        probabilities: (B, C).

    Source: Brier, Verification of forecasts expressed in terms of probability, 1950.
    """
    truth = np.eye(probabilities.shape[1])[targets]
    return float(np.square(probabilities - truth).sum(axis=1).mean())


def check_finite(logits: np.ndarray) -> None:
    """Refuse NaN and infinite logits (B, …).

    Raises:
        ConfigError: names the first such row.
    """
    if not np.isfinite(logits).all():
        row = int((~np.isfinite(logits)).any(axis=1).argmax())
        raise ConfigError(f"logits, row {row}: not finite. Give the raw outputs of a model whose weights are finite.")
