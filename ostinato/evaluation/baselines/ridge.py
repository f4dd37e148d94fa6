"""Ridge regressions of many dense features, for numbers, classes and labels: all strengths by one decomposition.

With standardised features X = U S Vᵀ, the prediction for a row by a model that did not see it needs no further fit:
y − (y − ŷ) / (1 − h), where h is the diagonal of U S² / (S² + α) Uᵀ plus 1 / n for the intercept. Classes and labels
are regressed on as −1 and 1, and a factor turns these unseen predictions into the logits with the lowest loss.

Source: Rifkin & Lippert (2007), Notes on Regularized Least Squares, section 4; the classifier as MiniRocket's.
"""

from collections.abc import Callable

import numpy as np

from ostinato.evaluation.baselines.heads import LinearModel, sigmoid, softmax
from ostinato.evaluation.baselines.selection import Crossfitted
from ostinato.evaluation.metrics import binary_log_losses, log_losses

ALPHAS = np.logspace(-1, 6, 15)
FACTORS = np.logspace(-1, 1, 21)  # of logits

Losses = Callable[[np.ndarray], np.ndarray]  # logits (B, C) -> (B,)


def ridge_numbers(features: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> Crossfitted:
    """Fit numbers (B, K); weights (B,) of the rows or None."""
    fitted = _Ridge(features, targets, weights)

    def loss(unseen: np.ndarray) -> float:
        return float(np.average(((unseen - targets) ** 2).sum(axis=1), weights=weights))

    alpha = min(ALPHAS, key=lambda alpha: loss(fitted.unseen(alpha)))
    return _crossfitted(fitted, alpha, 1.0, lambda outputs: outputs)


def ridge_classes(
    features: np.ndarray, targets: np.ndarray, num_classes: int, weights: np.ndarray | None
) -> Crossfitted:
    """Fit class indices (B,); weights (B,) of the rows or None."""
    fitted = _Ridge(features, np.where(targets[:, None] == np.arange(num_classes), 1.0, -1.0), weights)
    return _best_logits(fitted, weights, lambda logits: log_losses(targets, softmax(logits)), softmax)


def ridge_labels(features: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Crossfitted:
    """Fit labels (B, L) of 0 and 1, one by one; weights (B, L) of each label of each row."""

    def fit(label: np.ndarray, weights: np.ndarray) -> Crossfitted:
        fitted = _Ridge(features, np.where(label == 1, 1.0, -1.0)[:, None], weights)
        return _best_logits(fitted, weights, lambda logits: binary_log_losses(label, sigmoid(logits[:, 0])), sigmoid)

    each = [fit(label, of_label) for label, of_label in zip(targets.T, weights.T, strict=True)]
    slopes = np.concatenate([model.weights for model, _ in each], axis=1)
    bias = np.concatenate([model.bias for model, _ in each])
    model = LinearModel(lambda features: sigmoid(features @ slopes + bias), slopes, bias)
    return Crossfitted(model, np.concatenate([unseen for _, unseen in each], axis=1))


class _Ridge:
    """Targets (B, C) regressed on features (B, F), both centred; a row of weight 2 counts as two rows."""

    def __init__(self, features: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> None:
        w = np.ones(len(targets)) if weights is None else weights / weights.mean()
        self.root = np.sqrt(w)[:, None]  # of the rows' weights
        self.targets = targets.astype(np.float64)
        self.centre, self.mean = np.average(features, axis=0, weights=w), np.average(self.targets, axis=0, weights=w)
        self.X = ((features - self.centre) * self.root).astype(np.float64)
        B, F = self.X.shape
        squares, vectors = np.linalg.eigh(self.X @ self.X.T if B <= F else self.X.T @ self.X)
        is_used = squares > squares.max(initial=0) * 1e-10
        self.squares, vectors = squares[is_used], vectors[:, is_used]
        self.U = vectors if B <= F else self.X @ vectors / np.sqrt(self.squares)  # (B, r)
        self.projected = self.U.T @ ((self.targets - self.mean) * self.root)  # (r, C)

    def unseen(self, alpha: float) -> np.ndarray:
        """The prediction for each row by a model that did not see it. Returns (B, C)."""
        shrunk = self.squares / (self.squares + alpha)
        predicted = self.mean + self.U @ (shrunk[:, None] * self.projected) / self.root
        own = (self.U**2 @ shrunk + self.root[:, 0] ** 2 / len(self.root))[:, None]  # h
        unseen: np.ndarray = self.targets - (self.targets - predicted) / np.maximum(1 - own, 1e-6)
        return unseen

    def weights(self, alpha: float) -> np.ndarray:
        """Returns (F, C)."""
        weights: np.ndarray = self.X.T @ (self.U @ (self.projected / (self.squares + alpha)[:, None]))
        return weights


def _best_logits(
    fitted: _Ridge, weights: np.ndarray | None, losses: Losses, link: Callable[[np.ndarray], np.ndarray]
) -> Crossfitted:
    """The strength and the factor with the lowest loss of unseen predictions."""
    found = []
    for alpha in ALPHAS:
        unseen = fitted.unseen(alpha)
        found += [(float(np.average(losses(unseen * factor), weights=weights)), alpha, factor) for factor in FACTORS]
    _, alpha, factor = min(found)
    return _crossfitted(fitted, alpha, factor, link)


def _crossfitted(fitted: _Ridge, alpha: float, factor: float, link: Callable[[np.ndarray], np.ndarray]) -> Crossfitted:
    weights = fitted.weights(alpha) * factor
    bias = fitted.mean * factor - fitted.centre @ weights
    model = LinearModel(lambda features: link(features @ weights + bias), weights, bias)
    return Crossfitted(model, fitted.unseen(alpha) * factor)
