"""Metrics of predicted class probabilities.

One function, `weighted_scores`, computes them for any weights of the examples: all ones give the metrics of a
split, counts drawn at random give a bootstrap resample. So a metric and its interval cannot differ in definition.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ostinato.errors import ConfigError

CALIBRATION_BINS = 15


def classification_metrics(
    targets: np.ndarray, probabilities: np.ndarray, *, labels: Sequence[object]
) -> dict[str, Any]:
    """Score predicted probabilities; the prediction is the most probable class.

    `auroc` and `average_precision` are those of class 1 when there are two classes, else the mean of each class
    against the rest; they are None when a class is missing from `targets`. `balanced_accuracy` averages over the
    classes in `targets`, `macro_f1` over those in `targets` or the predictions (as scikit-learn does).

    Args:
        targets: (B,) class indices.
        probabilities: (B, C), rows sum to 1.
        labels: the C labels, in the order of the class indices.

    Returns:
        Plain numbers, lists and dicts, ready for JSON. `confusion_matrix` has a row for each true class and a
        column for each predicted class.

    Raises:
        ConfigError: shapes do not fit, there is no example, or a row is not a distribution.
    """
    targets, probabilities = check_predictions(targets, probabilities)
    B, C = probabilities.shape
    if len(labels) != C:
        raise ConfigError(
            f"{len(labels)} labels were given for {C} columns of probabilities. Give one label for each column."
        )
    confusion = np.bincount(targets * C + probabilities.argmax(axis=1), minlength=C * C).reshape(C, C)
    scores = weighted_scores(targets, probabilities, np.ones((1, B)))
    return {
        "n": B,
        **{name: None if np.isnan(score[0]) else float(score[0]) for name, score in scores.items()},
        "confusion_matrix": confusion.tolist(),
        "per_class": _per_class(confusion, labels),
    }


def epoch_metrics(targets: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """Score logits (B, C) by what a training watches: `loss` (mean cross-entropy), `accuracy` and `macro_f1`.

    Raises:
        ConfigError: shapes do not fit, or there is no example.
    """
    from scipy.special import log_softmax

    targets, logits = check_scores(targets, logits, "logits")
    B, C = logits.shape
    scores = _confusion_scores(np.eye(C)[targets], np.eye(C)[logits.argmax(axis=1)], np.ones((1, B)))
    loss = -log_softmax(logits, axis=1)[np.arange(B), targets].mean()
    return {"loss": float(loss), "accuracy": float(scores["accuracy"][0]), "macro_f1": float(scores["macro_f1"][0])}


def expected_calibration_error(targets: np.ndarray, probabilities: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """Mean distance between confidence and accuracy over `bins` equal bins of confidence, weighted by their examples.

    Raises:
        ConfigError: shapes do not fit, there is no example, or a row is not a distribution.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017, equation 3.
    """
    targets, probabilities = check_predictions(targets, probabilities)
    bin_of, gap = _calibration_gaps(targets, probabilities, bins)
    return float(np.abs(np.bincount(bin_of, weights=gap)).sum() / len(targets))


def check_predictions(targets: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `targets` as int64 and `probabilities` as float64, or say why they cannot be scored."""
    targets, probabilities = check_scores(targets, probabilities, "probabilities")
    sums = probabilities.sum(axis=1)
    wrong = ~((probabilities >= 0).all(axis=1) & (np.abs(sums - 1) < 1e-3))
    if wrong.any():
        row = int(wrong.argmax())
        raise ConfigError(
            f"probabilities, row {row}: smallest {probabilities[row].min():.4g}, sum {sums[row]:.4g}, so this is no distribution. "
            "Give softmax output, not logits."
        )
    return targets, probabilities


def check_scores(targets: np.ndarray, scores: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return class indices (B,) as int64 and scores (B, C) as float64, or say why they do not fit."""
    targets, scores = np.asarray(targets), np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or targets.shape != scores.shape[:1] or scores.size == 0:
        raise ConfigError(
            f"targets {targets.shape} and {name} {scores.shape} do not fit. Give shapes (B,) and (B, C), and at least one example."
        )
    C = scores.shape[1]
    if targets.dtype.kind not in "iu" or targets.min() < 0 or targets.max() >= C:
        raise ConfigError(
            f"targets from {targets.min()} to {targets.max()} ({targets.dtype}) are not class indices. Give whole numbers from 0 to {C - 1}."
        )
    return targets.astype(np.int64), scores


def log_losses(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Each example's negative log-probability of its class (B,); at most 36, where that probability is 0."""
    of_target = probabilities[np.arange(len(targets)), targets]
    losses: np.ndarray = -np.log(np.maximum(of_target, np.finfo(np.float64).eps))
    return losses


def weighted_scores(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Each metric for each row of example weights (R, B), as (R,); NaN where it is undefined."""
    C = probabilities.shape[1]
    total = weights.sum(axis=1)
    bin_of, gap = _calibration_gaps(targets, probabilities, CALIBRATION_BINS)
    columns = [1] if C == 2 else range(C)
    ranked = np.array([_ranking_scores(targets == column, probabilities[:, column], weights) for column in columns])
    return {
        **_confusion_scores(np.eye(C)[targets], np.eye(C)[probabilities.argmax(axis=1)], weights),
        "auroc": ranked[:, 0].mean(axis=0),
        "average_precision": ranked[:, 1].mean(axis=0),
        "log_loss": weights @ log_losses(targets, probabilities) / total,
        "ece": np.abs(weights @ (np.eye(CALIBRATION_BINS)[bin_of] * gap[:, None])).sum(axis=1) / total,
    }


def _confusion_scores(is_true: np.ndarray, is_predicted: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics of a confusion matrix, from its row sums, column sums and diagonal; MCC: Gorodkin 2004."""
    true, predicted, right = (
        weights @ is_true,
        weights @ is_predicted,
        weights @ (is_true * is_predicted),
    )  # (R, B) @ (B, C) -> (R, C)
    total, correct = true.sum(axis=1), right.sum(axis=1)
    spread = (total**2 - (true**2).sum(axis=1)) * (total**2 - (predicted**2).sum(axis=1))
    return {
        "accuracy": correct / total,
        "balanced_accuracy": _ratio(right, true).sum(axis=1) / (true > 0).sum(axis=1),
        "macro_f1": _ratio(2 * right, true + predicted).sum(axis=1) / (true + predicted > 0).sum(axis=1),
        "micro_f1": correct
        / total,  # with one label an example, every false positive is another class's false negative
        "mcc": _ratio(correct * total - (true * predicted).sum(axis=1), np.sqrt(spread)),
    }


def _ranking_scores(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROC and average precision of one class against the rest; equal scores share a threshold."""
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
        average_precision = (new_positives * _ratio(positives, above)).sum(axis=1) / P
    return auroc, average_precision


def _calibration_gaps(targets: np.ndarray, probabilities: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Each example's bin of confidence (low, high], and whether it is right (1 or 0) less its confidence."""
    confidence = probabilities.max(axis=1)
    bin_of = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return bin_of, (probabilities.argmax(axis=1) == targets) - confidence


def _per_class(confusion: np.ndarray, labels: Sequence[object]) -> dict[str, dict[str, float | int]]:
    true, predicted, right = confusion.sum(axis=1), confusion.sum(axis=0), confusion.diagonal()
    columns = zip(
        labels, _ratio(right, predicted), _ratio(right, true), _ratio(2 * right, true + predicted), true, strict=True
    )
    return {
        str(label): {"precision": float(p), "recall": float(r), "f1": float(f1), "n": int(n)}
        for label, p, r, f1, n in columns
    }


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; 0 where the denominator is 0."""
    ratio = np.zeros(numerator.shape)
    np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio
