"""The weights of an ensemble's members, fitted on validation rows: at least 0, with sum 1."""

import numpy as np

from ostinato.errors import ConfigError

STEPS = 2_000  # of expectation maximisation, at most
ENOUGH = 1e-9  # it ends when no weight changes by more
TINY = 1e-30  # smaller likelihoods are raised to it, so that one row cannot rule out a member


def mixture_weights(likelihoods: np.ndarray) -> np.ndarray:
    """The weights w for which the mixture has the lowest log-loss, −mean log Σₘ wₘ pₘ. (M, n) -> (M,).

    The log-loss is convex in w. Expectation maximisation lowers it in every step and keeps to the simplex:
    wₘ ← mean of wₘ pₘ / Σ wₖ pₖ.

    Args:
        likelihoods: the probability that each member gives to each true answer.

    Raises:
        ConfigError: there are no rows.
    """
    p = np.maximum(_checked(likelihoods), TINY)
    weights = np.full(len(p), 1 / len(p))
    for _ in range(STEPS):
        shares = weights[:, None] * p
        updated = (shares / shares.sum(axis=0)).mean(axis=1)
        change, weights = np.abs(updated - weights).max(), updated
        if change < ENOUGH:
            break
    return np.asarray(weights / weights.sum())


def averaging_weights(predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The weights for which the mean prediction has the lowest squared error. (M, n), (n,) -> (M,).

    Raises:
        ConfigError: there are no rows.
    """
    from scipy.optimize import minimize

    errors = _checked(predictions) - targets
    products = errors @ errors.T / errors.shape[1]  # Σ w = 1, so the errors of the weighted mean are w·E
    products = products / max(float(np.trace(products)), TINY)
    count = len(products)
    found = minimize(
        lambda w: w @ products @ w,
        np.full(count, 1 / count),
        jac=lambda w: 2 * products @ w,
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    weights = np.clip(found.x, 0, 1)
    return np.asarray(weights / weights.sum())


def _checked(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.shape[1] == 0:
        raise ConfigError("There are no validation rows to fit weights on. Use equal weights.")
    return values
