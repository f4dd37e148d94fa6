"""Choose the regularisation of a linear model of given features."""

from typing import Any, NamedTuple

import numpy as np

from ostinato.evaluation.baselines.heads import FOLDS, Head, LinearModel, folds_of


class Selection(NamedTuple):
    """How the strength of the regularisation is chosen: on validation rows, or without any by cross-validation.

    Args:
        seed: draws the folds.
        features: (B, F) of the validation rows; None: cross-validation.
        targets: (B,) or (B, C) of the validation rows.
    """

    seed: int
    features: Any = None
    targets: np.ndarray | None = None


def fit_on_features(
    head: Head, features: Any, targets: np.ndarray, weights: np.ndarray | None, selection: Selection
) -> LinearModel:
    """Fit a linear model, from the strongest regularisation to weaker ones until the loss increases; return the best.

    Without validation rows, and with too few training rows for cross-validation, the middle strength is used.

    Args:
        features: (B, F), an array or a sparse matrix.
        targets: as the head takes them.
        weights: of the rows, as the head takes them; None: 1.
    """
    if selection.targets is None and not head.can_fold(targets):
        return head.fit(head.grid[len(head.grid) // 2], features, targets, weights)
    best, lowest = None, np.inf
    for strength in head.grid:
        if selection.targets is None:
            model, loss = None, _cross_validate(head, strength, features, targets, weights, selection.seed)
        else:
            model = head.fit(strength, features, targets, weights)
            loss = head.loss(selection.targets, model.predict(selection.features))
        if best is not None and loss >= lowest:
            break
        best, lowest = (strength, model), loss
    assert best is not None
    return best[1] or head.fit(best[0], features, targets, weights)


def _cross_validate(
    head: Head, strength: float, features: Any, targets: np.ndarray, weights: np.ndarray | None, seed: int
) -> float:
    """The mean loss over folds that were not fitted on."""
    fold = folds_of(head, targets, seed)
    losses = []
    for held_out in range(FOLDS):
        train, test = np.flatnonzero(fold != held_out), np.flatnonzero(fold == held_out)
        model = head.fit(strength, features[train], targets[train], None if weights is None else weights[train])
        losses.append(head.loss(targets[test], model.predict(features[test])))
    return float(np.mean(losses))
