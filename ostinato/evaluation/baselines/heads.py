"""Linear models of given features with three heads: classes, label sets and numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ostinato.evaluation.baselines.logistic import Logistic, fit_logistic
from ostinato.evaluation.metrics import binary_log_losses, log_losses
from ostinato.progress import TimeLeft, unlimited

C_GRID = (0.1, 1.0, 10.0, 100.0)  # inverse strength of a logistic regression's L2 penalty
ALPHA_GRID = (100.0, 10.0, 1.0, 0.1, 0.01)  # strength of a ridge regression's L2 penalty
FOLDS = 3
LOWEST = -10.0  # the logit of a class or label that no training example has: a probability of 5e-5

Predict = Callable[[Any], np.ndarray]  # features (B, F) -> predictions


@dataclass(frozen=True)
class LinearModel:
    """A fitted linear model.

    Args:
        predict: from features (B, F) to probabilities or numbers.
        weights: (F, C); with the bias, they give logits of classes or labels, or the numbers.
        bias: (C,).
    """

    predict: Predict
    weights: np.ndarray
    bias: np.ndarray

    def outputs(self, features: Any) -> np.ndarray:
        """Logits, or numbers, of features (B, F). Returns (B, C)."""
        return np.asarray(features @ self.weights + self.bias)


class Examples(NamedTuple):
    """What a model is fitted to.

    Args:
        features: (B, F), an array or a sparse matrix.
        targets: as the head takes them.
        weights: (B,) of the rows, or (B, L) of each label of each row; None: 1.
        time_left: a logistic regression stops where it is when there is no time left.
    """

    features: Any
    targets: np.ndarray
    weights: np.ndarray | None = None
    time_left: TimeLeft = unlimited

    def select(self, rows: np.ndarray) -> "Examples":
        """The examples of some rows, given by their indices."""
        weights = None if self.weights is None else self.weights[rows]
        return Examples(self.features[rows], self.targets[rows], weights, self.time_left)


Fit = Callable[[float, Examples, LinearModel | None], LinearModel]


@dataclass(frozen=True)
class Head:
    """What is predicted: how to fit it on features at one strength of regularisation, and its loss.

    Args:
        name: of the model and of its strength, for the description.
        grid: strengths to try, the strongest regularisation first.
        fit: (strength, examples, start) -> fitted model; a logistic regression begins at the model `start`, if any.
        loss: (targets, predictions) -> mean loss.
        strata: targets -> (B,), what the folds of cross-validation are stratified by.
        can_fold: targets -> whether a model can be fitted to all folds but one.
        outputs: C, how many weights each feature has.
    """

    name: str
    grid: tuple[float, ...]
    fit: Fit
    loss: Callable[[np.ndarray, np.ndarray], float]
    strata: Callable[[np.ndarray], np.ndarray]
    can_fold: Callable[[np.ndarray], bool]
    outputs: int


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of classes. (B, C) -> (B, C)."""
    from scipy import special

    probabilities: np.ndarray = special.softmax(logits, axis=1)
    return probabilities


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities of labels, elementwise."""
    from scipy.special import expit

    probabilities: np.ndarray = expit(logits)
    return probabilities


def class_head(num_classes: int) -> Head:
    """A multinomial logistic regression; targets are class indices (B,)."""

    def fit(C: float, examples: Examples, start: LinearModel | None) -> LinearModel:
        features, targets, weights, time_left = examples
        present, index_of = np.unique(targets, return_inverse=True)  # a class without examples is not fitted
        begin = None if start is None else _differences(start.weights[:, present], start.bias[present])
        own = fit_logistic(features, index_of, len(present), weights, C, start=begin, time_left=time_left)
        return class_model(num_classes, present, own)

    return Head(
        name="logistic regression, C",
        grid=C_GRID,
        fit=fit,
        loss=lambda targets, predictions: float(log_losses(targets, predictions).mean()),
        strata=lambda targets: targets,
        can_fold=lambda targets: int((np.bincount(targets) >= 2).sum()) >= 2,
        outputs=num_classes,
    )


def class_model(num_classes: int, present: np.ndarray, fitted: Logistic) -> LinearModel:
    """A model of all classes from one of the classes that have training examples; the others have probability 0.

    Args:
        present: the classes that are fitted, in the order of the slopes; of two classes, the slopes are those of the
            second against the first.
    """

    def predict(features: Any) -> np.ndarray:
        probabilities = np.zeros((features.shape[0], num_classes))
        probabilities[:, present] = softmax(features @ slopes[:, present] + bias[present])
        return probabilities

    slopes, bias = np.zeros((len(fitted.slopes), num_classes)), np.full(num_classes, LOWEST)
    slopes[:, present], bias[present] = _logits_of_each(fitted)
    return LinearModel(predict, slopes, bias)


def label_head(num_labels: int) -> Head:
    """One logistic regression per label; targets are 0 or 1, (B, L)."""

    def fit(C: float, examples: Examples, start: LinearModel | None) -> LinearModel:
        def fit_one(label: int, one: Examples) -> Logistic:
            begin = None if start is None else Logistic(start.weights[:, [label]], start.bias[[label]])
            return fit_logistic(one.features, one.targets, 2, one.weights, C, start=begin, time_left=one.time_left)

        return fit_each_label(examples, fit_one)

    return Head(
        name="logistic regression per label, C",
        grid=C_GRID,
        fit=fit,
        loss=lambda targets, predictions: float(binary_log_losses(targets, predictions).mean()),
        strata=_rarest_label,
        can_fold=lambda targets: len(targets) >= FOLDS,
        outputs=num_labels,
    )


def fit_each_label(examples: Examples, fit: Callable[[int, Examples], Logistic]) -> LinearModel:
    """Fit the labels one by one; one that all or none of the rows have keeps its value.

    Args:
        fit: (label, examples with the targets and weights of this label, (B,)) -> its model.
    """
    features, targets, weights, time_left = examples
    varies = (targets != targets[0]).any(axis=0)
    slopes, bias = np.zeros((features.shape[1], targets.shape[1])), np.where(targets[0] == 1, -LOWEST, LOWEST)
    for label in np.flatnonzero(varies).tolist():
        own = None if weights is None else weights[:, label]
        fitted = fit(label, Examples(features, targets[:, label], own, time_left))
        slopes[:, label], bias[label] = fitted.slopes[:, 0], fitted.intercepts[0]

    def predict(features: Any) -> np.ndarray:
        probabilities = sigmoid(np.asarray(features @ slopes + bias))
        probabilities[:, ~varies] = targets[0, ~varies]
        return probabilities

    return LinearModel(predict, slopes, bias)


def number_head(targets: np.ndarray) -> Head:
    """A ridge regression; targets are numbers (B, K). The loss is in standard deviations of the given targets."""
    deviation = targets.std(axis=0)
    deviation[deviation == 0] = 1
    return Head(
        name="ridge regression, alpha",
        grid=ALPHA_GRID,
        fit=_fit_ridge,
        loss=lambda targets, predictions: float((((targets - predictions) / deviation) ** 2).mean()),
        strata=lambda targets: np.zeros(len(targets)),
        can_fold=lambda targets: len(targets) >= FOLDS,
        outputs=targets.shape[1],
    )


def folds_of(head: Head, targets: np.ndarray, seed: int, folds: int) -> np.ndarray:
    """The fold of each example, stratified. Returns (B,)."""
    fold = np.empty(len(targets), dtype=np.int64)
    shuffled = np.lexsort((np.random.default_rng(seed).random(len(targets)), head.strata(targets)))
    fold[shuffled] = np.arange(len(targets)) % folds
    return fold


def _differences(slopes: np.ndarray, intercepts: np.ndarray) -> Logistic:
    """Logits of classes; of two classes, the difference of their logits."""
    if slopes.shape[1] != 2:
        return Logistic(slopes, intercepts)
    return Logistic(np.diff(slopes, axis=1), np.diff(intercepts))


def _logits_of_each(fitted: Logistic) -> Logistic:
    """The reverse of `_differences`."""
    if fitted.slopes.shape[1] != 1:
        return fitted
    half, intercept = fitted.slopes / 2, fitted.intercepts / 2
    return Logistic(np.concatenate([-half, half], axis=1), np.concatenate([-intercept, intercept]))


def _rarest_label(targets: np.ndarray) -> np.ndarray:
    """Each example's label with the fewest examples (B,); the number of labels where it has none."""
    L = targets.shape[1]
    count = np.where(targets == 1, targets.sum(axis=0), np.inf)
    return np.asarray(np.where((targets == 1).any(axis=1), count.argmin(axis=1), L))


def _fit_ridge(alpha: float, examples: Examples, start: LinearModel | None) -> LinearModel:
    from sklearn.linear_model import Ridge
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    targets = examples.targets
    mean, deviation = targets.mean(axis=0), targets.std(axis=0)
    scale = np.where(deviation == 0, 1, deviation)
    with threadpool_limits(1):
        model = Ridge(alpha=alpha).fit(examples.features, (targets - mean) / scale, examples.weights)

    def predict(features: Any) -> np.ndarray:
        standardised = np.asarray(model.predict(features), dtype=np.float64)
        values: np.ndarray = standardised.reshape(-1, targets.shape[1]) * scale + mean
        return values

    slopes = np.asarray(model.coef_, dtype=np.float64).reshape(targets.shape[1], -1).T * scale
    return LinearModel(predict, slopes, np.asarray(model.intercept_, dtype=np.float64) * scale + mean)
