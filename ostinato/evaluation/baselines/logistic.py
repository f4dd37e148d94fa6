"""Logistic regression that can start from another one, and that stops when its time is over.

scikit-learn's `LogisticRegression` can do neither: on many features and classes, a single fit takes minutes.
"""

from typing import Any, NamedTuple

import numpy as np

from ostinato.progress import TimeLeft, unlimited

MOST_ITERATIONS = 100  # more cost seconds and leave the loss on new rows the same
TOLERANCE = 1e-4  # of the largest gradient, as scikit-learn's default


class Logistic(NamedTuple):
    """Slopes (F, K) and intercepts (K,): of K classes, or K = 1 for the second of two classes against the first."""

    slopes: np.ndarray
    intercepts: np.ndarray


def fit_logistic(
    features: Any,
    classes: np.ndarray,
    num_classes: int,
    weights: np.ndarray | None,
    C: float,
    *,
    start: Logistic | None = None,
    time_left: TimeLeft = unlimited,
) -> Logistic:
    """Minimise Σ wᵢ · loss(i) + ‖slopes‖² / 2C by L-BFGS, as scikit-learn does.

    Args:
        features: (B, F), an array or a sparse matrix.
        classes: (B,) from 0 to `num_classes` - 1, each with an example.
        weights: (B,) of the rows; None: 1.
        start: where to begin; None: at 0.
        time_left: asked after each iteration; when time is over, the weights so far are returned.
    """
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    B, F = features.shape
    K = 1 if num_classes == 2 else num_classes
    w = np.full(B, 1 / B) if weights is None else weights / weights.sum()
    penalty = 1 / (C * (B if weights is None else weights.sum()))
    loss_of = _binary_loss if K == 1 else _multinomial_loss

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        slopes, intercepts = flat[: F * K].reshape(F, K), flat[F * K :]
        logits = features @ slopes.astype(features.dtype) + intercepts  # (B, F) -> (B, K)
        loss, slope = loss_of(logits, classes, w)
        gradient = np.empty_like(flat)
        gradient[: F * K] = (features.T @ slope.astype(features.dtype)).ravel()
        gradient[: F * K] += penalty * flat[: F * K]
        gradient[F * K :] = slope.sum(axis=0)
        return loss + penalty / 2 * float(flat[: F * K] @ flat[: F * K]), gradient

    def stop_when_late(flat: np.ndarray) -> None:
        if time_left() < 0:
            raise StopIteration

    begin = np.zeros((F + 1) * K) if start is None else np.concatenate([start.slopes.ravel(), start.intercepts])
    options = {"maxiter": MOST_ITERATIONS, "maxls": 50, "gtol": TOLERANCE, "ftol": 64 * np.finfo(float).eps}
    # A second thread gains nothing on steps this small, and takes ten times as long where its core is busy elsewhere.
    with threadpool_limits(1):
        found = minimize(objective, begin, jac=True, method="L-BFGS-B", callback=stop_when_late, options=options).x
    return Logistic(found[: F * K].reshape(F, K), found[F * K :])


def _binary_loss(logits: np.ndarray, classes: np.ndarray, w: np.ndarray) -> tuple[float, np.ndarray]:
    """The weighted loss, and its gradient by the logits (B, 1)."""
    from scipy.special import expit

    z = logits[:, 0]
    loss = float(w @ (np.logaddexp(0, z) - classes * z))
    return loss, (w * (expit(z) - classes))[:, None]


def _multinomial_loss(logits: np.ndarray, classes: np.ndarray, w: np.ndarray) -> tuple[float, np.ndarray]:
    """The weighted loss, and its gradient by the logits (B, K)."""
    rows = np.arange(len(classes))
    shifted = logits - logits.max(axis=1, keepdims=True)
    probabilities = np.exp(shifted)
    sums = probabilities.sum(axis=1, keepdims=True)
    loss = float(w @ (np.log(sums[:, 0]) - shifted[rows, classes]))
    probabilities /= sums
    probabilities[rows, classes] -= 1
    return loss, probabilities * w[:, None]
