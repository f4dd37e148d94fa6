"""Choose the regularisation of a linear model of given features."""

from typing import Any, NamedTuple

import numpy as np

from ostinato.errors import OutOfTimeError
from ostinato.evaluation.baselines.heads import FOLDS, Examples, Head, LinearModel, folds_of
from ostinato.progress import TimeLeft, unlimited

CROSSFIT_FOLDS = 5


class Selection(NamedTuple):
    """How the strength of the regularisation is chosen: on validation rows, or without any by cross-validation.

    Args:
        seed: draws the folds.
        features: (B, F) of the validation rows; None: cross-validation.
        targets: (B,) or (B, C) of the validation rows.
        time_left: seconds until the choice must be made; the best model so far is taken.
        known: the best strength and its model, once they are found; fits of the same features share it.
    """

    seed: int
    features: Any = None
    targets: np.ndarray | None = None
    time_left: TimeLeft = unlimited
    known: "dict[str, tuple[float, LinearModel]] | None" = None


class Crossfitted(NamedTuple):
    """A linear model of the training examples, and what is predicted for each of them by a model that did not see it.

    Args:
        model: fitted to all examples.
        unseen: (B, C) logits, or numbers; None: too few examples, or not wanted.
    """

    model: LinearModel
    unseen: np.ndarray | None


def fit_on_features(
    head: Head,
    features: Any,
    targets: np.ndarray,
    weights: np.ndarray | None,
    selection: Selection,
    *,
    crossfit: bool,
) -> Crossfitted:
    """Fit a linear model, from the strongest regularisation to weaker ones until the loss increases; return the best.

    Without validation rows, and with too few training rows for cross-validation, the middle strength is used.

    Args:
        features: (B, F), an array or a sparse matrix.
        targets: as the head takes them.
        weights: of the rows, as the head takes them; None: 1.
        crossfit: whether to predict each example by a model that did not see it.

    Raises:
        OutOfTimeError: `crossfit` takes longer than `selection` allows.
    """
    can_fold, middle = head.can_fold(targets), head.grid[len(head.grid) // 2]
    train = Examples(features, targets, weights, selection.time_left)
    known = {} if selection.known is None else selection.known
    if "best" not in known:
        chooses = selection.targets is not None or can_fold
        strength, model = _best(head, train, selection) if chooses else (middle, None)
        known["best"] = strength, model or head.fit(strength, train, None)
    strength, model = known["best"]
    unseen = _crossfit(head, train, strength, selection.seed) if crossfit and can_fold else None
    return Crossfitted(model, unseen)


def _crossfit(head: Head, train: Examples, strength: float, seed: int) -> np.ndarray:
    """What is predicted for each example by a model that did not see it. Returns (B, C).

    Raises:
        OutOfTimeError: as soon as the folds so far show that there is too little time for the others.
    """
    fold, found = folds_of(head, train.targets, seed, CROSSFIT_FOLDS), []
    folds, began = np.unique(fold).tolist(), train.time_left()  # if unlimited, the differences below are NaN
    for done, held_out in enumerate(folds):
        if done:
            each_s = (began - train.time_left()) / done
            if train.time_left() < each_s * (len(folds) - done):
                raise OutOfTimeError(each_s * len(folds))
        model = head.fit(strength, train.select(np.flatnonzero(fold != held_out)), None)
        found.append(model.outputs(train.features[np.flatnonzero(fold == held_out)]))
    if train.time_left() < 0:  # the last fit was cut short
        raise OutOfTimeError(began - train.time_left())
    unseen = np.empty((len(fold), found[0].shape[1]))
    for held_out, outputs in zip(folds, found, strict=True):
        unseen[fold == held_out] = outputs
    return unseen


def _best(head: Head, train: Examples, selection: Selection) -> tuple[float, LinearModel | None]:
    """The best strength, and the model of all examples if it was fitted to find out."""
    best: tuple[float, LinearModel | None] = (head.grid[0], None)
    lowest = np.inf
    for strength in head.grid:
        if lowest < np.inf and train.time_left() < 0:
            break
        if selection.targets is None:
            model, loss = None, _cross_validate(head, train, strength, selection.seed)
        else:
            model = head.fit(strength, train, best[1])
            loss = head.loss(selection.targets, model.predict(selection.features))
        if loss >= lowest:
            break
        best, lowest = (strength, model), loss
    return best


def _cross_validate(head: Head, train: Examples, strength: float, seed: int) -> float:
    """The mean loss over folds that were not fitted on."""
    fold = folds_of(head, train.targets, seed, FOLDS)
    losses = []
    for held_out in range(FOLDS):
        model = head.fit(strength, train.select(np.flatnonzero(fold != held_out)), None)
        test = train.select(np.flatnonzero(fold == held_out))
        losses.append(head.loss(test.targets, model.predict(test.features)))
    return float(np.mean(losses))
