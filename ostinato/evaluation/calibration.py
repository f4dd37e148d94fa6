"""Temperature scaling: probabilities that can be read as frequencies."""

import numpy as np

from ostinato.errors import ConfigError
from ostinato.evaluation.metrics import check_scores

LOWEST, HIGHEST = 0.05, 20.0


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """Find the temperature T in [0.05, 20] for which softmax(logits / T) has the lowest log-loss.

    Fit it on validation data, never on the test split. Where every example is right, the log-loss falls for ever as
    T falls: the bound is then the answer, and says no more than that the data are too few to tell.

    Args:
        logits: (B, C).
        targets: (B,) class indices.

    Raises:
        ConfigError: shapes do not fit, there is no example, a logit is not finite or a target is no class index.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    targets, logits = check_scores(targets, logits, "logits")
    if not np.isfinite(logits).all():
        row = int((~np.isfinite(logits)).any(axis=1).argmax())
        raise ConfigError(f"logits, row {row}: not finite. Give the raw outputs of a model whose weights are finite.")
    of_target = logits[np.arange(len(targets)), targets]

    def log_loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        return float((logsumexp(logits * scale, axis=1) - of_target * scale).mean())

    found = minimize_scalar(log_loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded")
    candidates = [LOWEST, float(np.exp(found.x)), HIGHEST]  # the search comes near its bounds, never onto them
    return min(candidates, key=lambda temperature: log_loss(np.log(temperature)))
