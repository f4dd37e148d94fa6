"""Metrics of predicted class probabilities.

`weighted_scores` computes them for any example weights: weights of 1 give the metrics of a split, random counts give
a bootstrap resample. A metric and its interval therefore share one definition.
"""

from collections.abc import Sequence

import numpy as np

from ostinato.errors import ConfigError
from ostinato.evaluation.results import Metric, Metrics, Scores

CALIBRATION_BINS = 15
UNEVEN_MAJORITY, UNEVEN_GAP = 0.8, 0.1  # from here on, accuracy alone misleads

CLASSIFICATION_METRICS: dict[str, Metric] = {
    "accuracy": Metric("accuracy"),
    "balanced_accuracy": Metric("balanced_accuracy"),
    "macro_f1": Metric("macro_f1"),
    "mcc": Metric("mcc", bounds=(-1.0, 1.0)),
    "auroc": Metric("auroc"),
    "average_precision": Metric("average_precision"),
    "log_loss": Metric("log_loss", higher_is_better=False, scale=1, unit="nats", bounds=(0.0, np.inf)),
}


class ClassScores(Scores):
    """Precision, recall and F1 of one class, and its examples `n`; a ratio whose denominator is 0 is 0."""

    precision: float
    recall: float
    f1: float
    n: int


class ClassificationMetrics(Metrics):
    """Metrics of predicted class probabilities.

    `auroc` and `average_precision` are those of class 1 when there are two classes, else the mean of each class
    against the rest; they are None when a class is missing from the targets. `balanced_accuracy` averages over the
    classes in the targets, `macro_f1` over those in the targets or the predictions (as scikit-learn does).

    Args:
        confusion_matrix: a row for each true class, a column for each predicted class.
        per_class: by label, in the order of the class indices.
        ece_before_scaling: the calibration error before temperature scaling; None without temperature scaling.
        temperature: that the logits were divided by; None without temperature scaling.
    """

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    micro_f1: float
    mcc: float
    auroc: float | None
    average_precision: float | None
    log_loss: float
    ece: float
    confusion_matrix: list[list[int]]
    per_class: dict[str, ClassScores]
    ece_before_scaling: float | None = None
    temperature: float | None = None


def classification_metrics(
    targets: np.ndarray, probabilities: np.ndarray, *, labels: Sequence[object]
) -> ClassificationMetrics:
    """Score predicted probabilities; the prediction is the most probable class.

    Args:
        targets: (B,) class indices.
        probabilities: (B, C), rows sum to 1.
        labels: the C labels, in the order of the class indices.

    Raises:
        ConfigError: shapes do not match, there is no example, or a row does not sum to 1.
    """
    targets, probabilities = check_predictions(targets, probabilities)
    B, C = probabilities.shape
    if len(labels) != C:
        raise ConfigError(
            f"{len(labels)} labels were given for {C} columns of probabilities. Give one label for each column."
        )
    confusion = np.bincount(targets * C + probabilities.argmax(axis=1), minlength=C * C).reshape(C, C)
    scores = weighted_scores(targets, probabilities, np.ones((1, B)))
    return ClassificationMetrics(
        n=B,
        **{name: defined(score[0]) for name, score in scores.items()},
        confusion_matrix=confusion.tolist(),
        per_class=_per_class(confusion, labels),
    )


def accuracy_misleads(accuracy: float, balanced: float, majority: float) -> bool:
    """Whether the classes are so unequal that the balanced accuracy should be shown next to the accuracy.

    Args:
        majority: the accuracy of always predicting the most frequent class.
    """
    return majority > UNEVEN_MAJORITY or abs(accuracy - balanced) > UNEVEN_GAP


def epoch_metrics(targets: np.ndarray, logits: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    """Score logits (B, C) after an epoch of training: `loss` (mean cross-entropy), `accuracy` and `macro_f1`.

    Args:
        weights: (B,) of the examples; None: 1.

    Raises:
        ConfigError: shapes do not match, or there is no example.
    """
    from scipy.special import log_softmax

    targets, logits = check_scores(targets, logits, "logits")
    B, C = logits.shape
    scores = _confusion_scores(
        np.eye(C)[targets], np.eye(C)[logits.argmax(axis=1)], np.ones((1, B)) if weights is None else weights[None]
    )
    loss = -np.average(log_softmax(logits, axis=1)[np.arange(B), targets], weights=weights)
    return {"loss": float(loss), "accuracy": float(scores["accuracy"][0]), "macro_f1": float(scores["macro_f1"][0])}


def expected_calibration_error(targets: np.ndarray, probabilities: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """Mean distance between confidence and accuracy over `bins` equal bins of confidence, weighted by their examples.

    Raises:
        ConfigError: shapes do not match, there is no example, or a row does not sum to 1.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017, equation 3.
    """
    targets, probabilities = check_predictions(targets, probabilities)
    bin_of, gap = _calibration_gaps(targets, probabilities, bins)
    return float(np.abs(np.bincount(bin_of, weights=gap)).sum() / len(targets))


def check_predictions(targets: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `targets` as int64 and `probabilities` as float64.

    Raises:
        ConfigError: shapes do not match, there is no example, or a row does not sum to 1.
    """
    targets, probabilities = check_scores(targets, probabilities, "probabilities")
    sums = probabilities.sum(axis=1)
    wrong = ~((probabilities >= 0).all(axis=1) & (np.abs(sums - 1) < 1e-3))
    if wrong.any():
        row = int(wrong.argmax())
        raise ConfigError(
            f"probabilities, row {row}: smallest {probabilities[row].min():.4g}, sum {sums[row]:.4g}. "
            "Expected values from 0 to 1 that sum to 1: give softmax output, not logits."
        )
    return targets, probabilities


def check_scores(targets: np.ndarray, scores: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return class indices (B,) as int64 and scores (B, C) as float64.

    Raises:
        ConfigError: shapes do not match, there is no example, or a target is not a class index.
    """
    targets, scores = np.asarray(targets), np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or targets.shape != scores.shape[:1] or scores.size == 0:
        raise ConfigError(
            f"targets {targets.shape} and {name} {scores.shape}: shapes do not match. "
            "Give (B,) and (B, C), and at least one example."
        )
    C = scores.shape[1]
    if targets.dtype.kind not in "iu" or targets.min() < 0 or targets.max() >= C:
        raise ConfigError(
            f"targets from {targets.min()} to {targets.max()} ({targets.dtype}) are not class indices. "
            f"Give whole numbers from 0 to {C - 1}."
        )
    return targets.astype(np.int64), scores


def log_losses(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Each example's negative log-probability of its class (B,); at most 36, where that probability is 0."""
    of_target = probabilities[np.arange(len(targets)), targets]
    losses: np.ndarray = -np.log(np.maximum(of_target, np.finfo(np.float64).eps))
    return losses


def binary_log_losses(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Negative log-probability of each 0/1 target, elementwise; at most 36, where that probability is 0."""
    of_target = np.where(targets == 1, probabilities, 1 - probabilities)
    losses: np.ndarray = -np.log(np.maximum(of_target, np.finfo(np.float64).eps))
    return losses


def weighted_scores(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Each metric for each row of example weights (R, B), as (R,); NaN where it is undefined."""
    C = probabilities.shape[1]
    total = weights.sum(axis=1)
    bin_of, gap = _calibration_gaps(targets, probabilities, CALIBRATION_BINS)
    columns = [1] if C == 2 else range(C)
    ranked = np.array([ranking_scores(targets == column, probabilities[:, column], weights) for column in columns])
    return {
        **_confusion_scores(np.eye(C)[targets], np.eye(C)[probabilities.argmax(axis=1)], weights),
        "auroc": ranked[:, 0].mean(axis=0),
        "average_precision": ranked[:, 1].mean(axis=0),
        "log_loss": weights @ log_losses(targets, probabilities) / total,
        "ece": weighted_calibration_error(bin_of, gap, weights),
    }


def _confusion_scores(is_true: np.ndarray, is_predicted: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics of a confusion matrix, from its row sums, column sums and diagonal; MCC: Gorodkin 2004."""
    true, predicted = weights @ is_true, weights @ is_predicted  # (R, B) @ (B, C) -> (R, C)
    right = weights @ (is_true * is_predicted)
    total, correct = true.sum(axis=1), right.sum(axis=1)
    spread = (total**2 - (true**2).sum(axis=1)) * (total**2 - (predicted**2).sum(axis=1))
    return {
        "accuracy": correct / total,
        "balanced_accuracy": ratio(right, true).sum(axis=1) / (true > 0).sum(axis=1),
        "macro_f1": ratio(2 * right, true + predicted).sum(axis=1) / (true + predicted > 0).sum(axis=1),
        # with one label per example, every false positive is another class's false negative
        "micro_f1": correct / total,
        "mcc": ratio(correct * total - (true * predicted).sum(axis=1), np.sqrt(spread)),
    }


def ranking_scores(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROC and average precision of one class against the rest; equal scores share a threshold.

    Shapes: (B,) booleans, (B,) scores, (R, B) example weights -> (R,) and (R,); NaN where undefined.
    """
    order = np.argsort(-scores, kind="stable")
    positive = positive[order]
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))  # of each run of equal scores
    holds = np.logical_or.reduceat(positive, starts)
    starts = starts[holds | np.append(True, holds[:-1])]  # neighbouring runs without a positive count as one
    weights = np.take(weights, order, axis=1)
    new_positives = np.add.reduceat(weights * positive, starts, axis=1)  # (R, B) -> (R, runs)
    new = np.add.reduceat(weights, starts, axis=1)
    positives, above = new_positives.cumsum(axis=1), new.cumsum(axis=1)  # down to and with each run
    P, total = positives[:, -1], above[:, -1]
    ties = new - new_positives
    below = total[:, None] - P[:, None] - (above - positives)  # negatives that each run outranks
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: undefined
        auroc = (new_positives * (below + ties / 2)).sum(axis=1) / (P * (total - P))
        average_precision = (new_positives * ratio(positives, above)).sum(axis=1) / P
    return auroc, average_precision


def calibration_bins(confidence: np.ndarray, bins: int = CALIBRATION_BINS) -> np.ndarray:
    """The bin (low, high] of each confidence, from 0 to `bins` - 1."""
    bin_of: np.ndarray = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return bin_of


def weighted_calibration_error(bin_of: np.ndarray, gap: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Expected calibration error from each example's bin (B,) and outcome minus confidence (B,): (R, B) -> (R,)."""
    gaps = np.abs(weights @ (np.eye(CALIBRATION_BINS)[bin_of] * gap[:, None]))  # (R, B) @ (B, bins) -> (R, bins)
    error: np.ndarray = gaps.sum(axis=1) / weights.sum(axis=1)
    return error


def defined(score: float) -> float | None:
    """The score as a float, None where it is NaN."""
    return None if np.isnan(score) else float(score)


def _calibration_gaps(targets: np.ndarray, probabilities: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Each example's confidence bin, and whether it is right (1 or 0) minus its confidence."""
    confidence = probabilities.max(axis=1)
    return calibration_bins(confidence, bins), (probabilities.argmax(axis=1) == targets) - confidence


def _per_class(confusion: np.ndarray, labels: Sequence[object]) -> dict[str, ClassScores]:
    true, predicted, right = confusion.sum(axis=1), confusion.sum(axis=0), confusion.diagonal()
    columns = zip(
        labels, ratio(right, predicted), ratio(right, true), ratio(2 * right, true + predicted), true, strict=True
    )
    return {
        str(label): ClassScores(precision=float(p), recall=float(r), f1=float(f1), n=int(n))
        for label, p, r, f1, n in columns
    }


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; 0 where the denominator is 0."""
    quotient = np.zeros(numerator.shape)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient
