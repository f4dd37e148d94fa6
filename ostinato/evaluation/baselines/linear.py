"""Linear models of simple features, with three heads: classes, label sets and numbers.

All three share one search: every set of features that suits the sequences, with every strength of regularisation, is
fitted on the training split, and the model with the lowest validation loss wins.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ostinato.data.chunks import chunks
from ostinato.errors import ConfigError, DataError, look_up
from ostinato.evaluation.baselines.features import FEATURES, Candidates
from ostinato.evaluation.baselines.heads import (
    FOLDS,
    Examples,
    Head,
    LinearModel,
    Predict,
    class_head,
    folds_of,
    label_head,
    number_head,
)
from ostinato.progress import TimeLeft, unlimited

MOST_WEIGHTS = 2**21  # of a model: bounds its memory
FEWEST_FEATURES, MOST_FEATURES = 2**14, 2**18


@dataclass(frozen=True)
class LinearBaseline:
    """Features and a linear model, both fitted on the training split."""

    description: str
    features: Any
    model: Predict

    def predict(self, sequences: Sequence[Any]) -> np.ndarray:
        """Probabilities (B, C) of classes or (B, L) of labels, or values (B, K)."""
        return np.concatenate([self.model(self.features.transform(chunk)) for _, chunk in chunks(sequences)])


def linear_baseline(
    train_sequences: Sequence[Any],
    train_targets: np.ndarray,
    validation_sequences: Sequence[Any] | None,
    validation_targets: np.ndarray | None,
    *,
    kind: str,
    seed: int,
    time_left: TimeLeft = unlimited,
) -> LinearBaseline:
    """Fit logistic regressions on the features that suit `kind` and return the one with the lowest validation log-loss.

    Without a validation split, features and C are chosen by 3-fold cross-validation. The weights always come from the
    training split alone, as a network's do.

    Args:
        train_sequences: strings ("text", "symbols"), lists of tokens ("events") or arrays (T, channels) ("numeric").
        train_targets: (B,) class indices.
        validation_sequences: of the same kind; None: cross-validation.
        validation_targets: (B,) class indices.
        kind: "text": TF-IDF of words, 1-2-grams, and of short texts also of characters within words, 2-5-grams.
            "symbols": TF-IDF of characters, 1-3-grams or 1-6-grams; and where all training sequences have the same
            length, each position one-hot (longer sequences are cut, missing positions are 0). "events": TF-IDF of
            tokens, 1-2-grams. "numeric": mean, standard deviation, minimum, maximum, first, last and mean absolute
            step of each channel, standardised.
        seed: draws the folds.
        time_left: when time is over, the models that are fitted compete, at least one.

    Returns:
        Its `predict` gives (B, C) probabilities, C being the largest training target + 1; 0 for a class without
        training examples.

    Raises:
        ConfigError: an unknown kind, or sequences of another kind.
        DataError: fewer than two classes have two training examples, or the sequences have no features.
    """
    train_targets = np.asarray(train_targets)
    _check_sequences(train_sequences, train_targets, kind)
    head = class_head(int(train_targets.max(initial=0)) + 1)
    refuse_few_classes(head, train_targets)
    make = partial(FEATURES[kind], train_sequences)
    return search(head, make, train_sequences, train_targets, validation_sequences, validation_targets, seed, time_left)


def linear_multilabel_baseline(
    train_sequences: Sequence[Any],
    train_targets: np.ndarray,
    validation_sequences: Sequence[Any] | None,
    validation_targets: np.ndarray | None,
    *,
    kind: str,
    seed: int,
    time_left: TimeLeft = unlimited,
) -> LinearBaseline:
    """Fit one logistic regression per label (one-vs-rest); features and C, shared by all labels, as `linear_baseline`.

    A label that all or none of the training examples have is predicted with probability 1 or 0.

    Args:
        train_sequences: as for `linear_baseline`.
        train_targets: (B, L), 0 or 1.
        validation_sequences: of the same kind; None: 3-fold cross-validation.
        validation_targets: (B, L), 0 or 1.
        kind: as for `linear_baseline`.
        seed: draws the folds.
        time_left: when time is over, the models that are fitted compete, at least one.

    Returns:
        Its `predict` gives (B, L) probabilities.

    Raises:
        ConfigError: an unknown kind, or sequences of another kind.
        DataError: there are fewer than three training examples, no label varies among them, or the sequences have no
            features.
    """
    train_targets = np.asarray(train_targets)
    _check_sequences(train_sequences, train_targets, kind)
    refuse_few_labels(train_targets)
    head = label_head(train_targets.shape[1])
    make = partial(FEATURES[kind], train_sequences)
    return search(head, make, train_sequences, train_targets, validation_sequences, validation_targets, seed, time_left)


def ridge_baseline(
    train_sequences: Sequence[Any],
    train_targets: np.ndarray,
    validation_sequences: Sequence[Any] | None,
    validation_targets: np.ndarray | None,
    *,
    kind: str,
    seed: int,
    time_left: TimeLeft = unlimited,
) -> LinearBaseline:
    """Fit ridge regressions on the features that suit `kind` and return the one with the lowest validation error.

    Each target is standardised by its training mean and deviation, so that neither alpha nor the mean squared error
    over several targets depends on their units.

    Args:
        train_sequences: as for `linear_baseline`.
        train_targets: (B, K).
        validation_sequences: of the same kind; None: 3-fold cross-validation.
        validation_targets: (B, K).
        kind: as for `linear_baseline`.
        seed: draws the folds.
        time_left: when time is over, the models that are fitted compete, at least one.

    Returns:
        Its `predict` gives (B, K) values in the targets' units.

    Raises:
        ConfigError: an unknown kind, or sequences of another kind.
        DataError: there are fewer than three training examples, or the sequences have no features.
    """
    train_targets = np.asarray(train_targets, dtype=np.float64)
    _check_sequences(train_sequences, train_targets, kind)
    _check_enough(train_targets)
    head = number_head(train_targets)
    make = partial(FEATURES[kind], train_sequences)
    return search(head, make, train_sequences, train_targets, validation_sequences, validation_targets, seed, time_left)


def _check_sequences(sequences: Sequence[Any], targets: np.ndarray, kind: str) -> None:
    look_up(FEATURES, kind, "kind of sequence")
    if len(sequences) != len(targets):
        raise ConfigError(
            f"{len(sequences)} training sequences have {len(targets)} targets. Give one target for each sequence."
        )
    if len(sequences) and isinstance(sequences[0], str) != (kind in ("text", "symbols")):
        raise ConfigError(
            f"kind {kind!r} does not match sequences of type {type(sequences[0]).__name__}. "
            "Strings are 'text' or 'symbols', lists of tokens 'events', arrays 'numeric'."
        )


def _check_enough(targets: np.ndarray) -> None:
    if len(targets) < FOLDS:
        raise DataError(f"{len(targets)} training examples. A baseline needs at least {FOLDS}.")


def refuse_few_classes(head: Head, targets: np.ndarray) -> None:
    """Raise a `DataError` if fewer than two classes have two training examples."""
    if not head.can_fold(targets):
        raise DataError(
            f"Training examples of each class: {np.bincount(targets).tolist()}. "
            "A baseline needs two classes with two examples each."
        )


def refuse_few_labels(targets: np.ndarray) -> None:
    """Raise a `DataError` for fewer than three training examples, or if no label (B, L) varies among them."""
    _check_enough(targets)
    if not (targets != targets[0]).any():
        raise DataError(
            f"All {len(targets)} training examples have the same labels {targets[0].tolist()}. "
            "A baseline needs a label that some examples have and others do not."
        )


def search(
    head: Head,
    candidates: Callable[[int], Candidates],
    train_sequences: Sequence[Any],
    train_targets: np.ndarray,
    validation_sequences: Sequence[Any] | None,
    validation_targets: np.ndarray | None,
    seed: int,
    time_left: TimeLeft = unlimited,
) -> LinearBaseline:
    """Fit every combination of features and strength; return the one with the lowest loss, the first of equals.

    Args:
        candidates: from the largest number of features of a model to the sets of features to try.
    """
    best: tuple[float, LinearBaseline] | None = None
    for name, make in candidates(most_features(head.outputs)):
        if best is not None and time_left() < 0:
            break
        models = _fit(head, name, make, train_sequences, train_targets, time_left)
        if validation_sequences is None or validation_targets is None:
            losses = _cross_validate(head, name, make, train_sequences, train_targets, seed)
        else:
            losses = _losses(head, models, validation_sequences, np.asarray(validation_targets))
        lowest = int(losses[: len(models)].argmin())
        if best is None or losses[lowest] < best[0]:
            best = losses[lowest], models[lowest]
    assert best is not None, "there are no candidates"
    if time_left() < 0:
        return replace(best[1], description=f"{best[1].description}, the best of those fitted in time")
    return best[1]


def most_features(outputs: int) -> int:
    """How many features a model of so many classes or labels has at most."""
    return max(FEWEST_FEATURES, min(MOST_FEATURES, MOST_WEIGHTS // outputs))


def _fit(
    head: Head,
    name: str,
    make: Callable[[], Any],
    sequences: Sequence[Any],
    targets: np.ndarray,
    time_left: TimeLeft = unlimited,
) -> list[LinearBaseline]:
    """Fit the features once, and a model on them for each strength, as far as time allows."""
    features = make()
    try:
        encoded = features.fit_transform(sequences)
    except ValueError as error:
        raise DataError(
            f"The training sequences have no features ({name}): {error}. Check that they are not empty."
        ) from None
    found: list[LinearBaseline] = []
    model: LinearModel | None = None
    for strength in head.grid:
        if found and time_left() < 0:
            break
        model = head.fit(strength, Examples(encoded, targets), model)
        found.append(LinearBaseline(f"{name}, {head.name}={strength:g}", features, model.predict))
    return found


def _losses(head: Head, models: list[LinearBaseline], sequences: Sequence[Any], targets: np.ndarray) -> np.ndarray:
    """The loss of each of several models with the same features, as (models,)."""
    encoded = models[0].features.transform(sequences)
    return np.array([head.loss(targets, baseline.model(encoded)) for baseline in models])


def _cross_validate(
    head: Head, name: str, make: Callable[[], Any], sequences: Sequence[Any], targets: np.ndarray, seed: int
) -> np.ndarray:
    """The loss at each strength on examples that were not fitted on, over stratified folds."""
    fold = folds_of(head, targets, seed, FOLDS)
    losses = np.zeros(len(head.grid))
    for held_out in range(FOLDS):
        train, test = np.flatnonzero(fold != held_out).tolist(), np.flatnonzero(fold == held_out).tolist()
        models = _fit(head, name, make, [sequences[i] for i in train], targets[train])
        losses += _losses(head, models, [sequences[i] for i in test], targets[test]) / FOLDS
    return losses
