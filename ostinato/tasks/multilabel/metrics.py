"""Metrics, decision thresholds and calibration of predicted label probabilities.

Every metric is a function of example weights: weights of 1 give the metric of a split, random counts give a bootstrap
resample. A metric and its interval therefore share one definition.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ostinato.errors import ConfigError, look_up
from ostinato.evaluation.bootstrap import Interval, basic_interval, percentile_intervals, wilson_interval
from ostinato.evaluation.calibration import best_temperature, check_finite
from ostinato.evaluation.metrics import (
    binary_log_losses,
    calibration_bins,
    defined,
    ranking_scores,
    ratio,
    weighted_calibration_error,
)
from ostinato.evaluation.results import Metric, Metrics, Scores
from ostinato.evaluation.statistics import Scored, score_resampled, score_right

MULTILABEL_METRICS: dict[str, Metric] = {
    "micro_f1": Metric("micro_f1"),
    "macro_f1": Metric("macro_f1"),
    "sample_f1": Metric("sample_f1"),
    "subset_accuracy": Metric("subset_accuracy"),
    "hamming_loss": Metric("hamming_loss", higher_is_better=False),
    "coverage_error": Metric("coverage_error", higher_is_better=False, scale=1, unit="labels", bounds=(0.0, np.inf)),
    "macro_average_precision": Metric("macro_average_precision"),
    "macro_auroc": Metric("macro_auroc"),
    "log_loss": Metric("log_loss", higher_is_better=False, scale=1, unit="nats", bounds=(0.0, np.inf)),
}


class LabelScores(Scores):
    """Scores of one label; None where a score is undefined.

    Args:
        threshold: the label is predicted where its probability is at least this.
        precision: None where the label is never predicted.
        recall: None where no example has the label.
        f1: None where both hold.
        support: examples that have the label.
        average_precision: None where no example has the label.
        auroc: None where no example or every example has the label.
    """

    threshold: float
    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    average_precision: float | None
    auroc: float | None


class MultilabelMetrics(Metrics):
    """Metrics of predicted label probabilities, at given thresholds where a decision is needed.

    Args:
        micro_f1: over all pairs of example and label; None where no label occurs or is predicted.
        macro_f1, macro_average_precision, macro_auroc: means over the labels for which they are defined.
        sample_f1: mean over the examples; 1 for an example without labels for which none is predicted.
        subset_accuracy: share of examples with exactly the right labels.
        hamming_loss: share of wrong decisions over all pairs of example and label.
        coverage_error: mean number of top-ranked labels needed to include all true ones; 0 for an example without any.
        log_loss: mean binary cross-entropy over all pairs of example and label.
        ece: expected calibration error, mean over the labels.
        per_label: by label, in the order of the columns.
        ece_before_scaling: the calibration error before temperature scaling; None without temperature scaling.
    """

    micro_f1: float | None
    macro_f1: float | None
    sample_f1: float
    subset_accuracy: float
    hamming_loss: float
    coverage_error: float
    macro_average_precision: float | None
    macro_auroc: float | None
    log_loss: float
    ece: float
    per_label: dict[str, LabelScores]
    ece_before_scaling: float | None = None


@dataclass(frozen=True)
class _Answers:
    """Targets (B, L) and decisions (B, L) as booleans, probabilities (B, L)."""

    targets: np.ndarray
    probabilities: np.ndarray
    predicted: np.ndarray


def multilabel_metrics(
    targets: np.ndarray,
    probabilities: np.ndarray,
    thresholds: np.ndarray,
    labels: Sequence[object],
    *,
    resamples: int = 1000,
) -> MultilabelMetrics:
    """Score predicted label probabilities, with 95 % bootstrap intervals over the examples.

    Subset accuracy has the Wilson interval and ECE the basic bootstrap interval, for the reasons given at
    `bootstrap_intervals`; the others have percentile intervals.

    Args:
        targets: (B, L), 0 or 1.
        probabilities: (B, L), from 0 to 1.
        thresholds: (L,); a label is predicted where its probability is at least its threshold.
        labels: the L labels, in the order of the columns.
        resamples: number of bootstrap resamples; 0: no intervals.

    Raises:
        ConfigError: shapes do not match, there is no example, or a target or probability is out of range.
    """
    answers = _check(targets, probabilities, thresholds)
    B, L = answers.targets.shape
    if len(labels) != L:
        raise ConfigError(
            f"{len(labels)} labels were given for {L} columns of targets. Give one label for each column."
        )
    scores = {name: defined(values[0]) for name, values in _weighted_scores(answers, np.ones((1, B))).items()}
    metrics = MultilabelMetrics.model_validate(
        {"n": B, "per_label": _per_label(answers, np.asarray(thresholds), labels), **scores}
    )
    return (
        metrics.model_copy(update={"intervals": _intervals(answers, metrics.ece, resamples)}) if resamples else metrics
    )


def choose_thresholds(targets: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Find the threshold of each label (L,) that maximises its F1; use validation data, never the test split.

    Thresholds between the same two neighbouring probabilities make the same decisions: the result is 0.5 if it is one
    of them, else their midpoint. Of equally good results, the one nearest to 0.5 wins, then the lower. A label without
    examples has 0.5.

    Args:
        targets: (B, L), 0 or 1.
        probabilities: (B, L), from 0 to 1.

    Raises:
        ConfigError: shapes do not match, there is no example, or a target or probability is out of range.
    """
    answers = _check(targets, probabilities, np.full(np.shape(probabilities)[-1:], 0.5))
    columns = zip(answers.targets.T, answers.probabilities.T, strict=True)
    return np.array([_best_threshold(target, probability) for target, probability in columns])


def fit_temperatures(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Find each label's temperature T (L,) in [0.05, 20] for which sigmoid(logits / T) has the lowest log-loss.

    Fit them on validation data, never on the test split. A label that all or none of the examples have says nothing
    about calibration: its temperature is 1.

    Args:
        logits: (B, L).
        targets: (B, L), 0 or 1.

    Raises:
        ConfigError: shapes do not match, there is no example, a logit is not finite or a target is not 0 or 1.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2, for each label as a binary task.
    """
    is_true, logits = _check_targets(targets, logits, "logits")
    check_finite(logits)
    signed = np.where(is_true, logits, -logits)

    def fit(label: int) -> float:
        if is_true[:, label].all() or not is_true[:, label].any():
            return 1.0
        return best_temperature(lambda scale: float(np.logaddexp(0, -scale * signed[:, label]).mean()))

    return np.array([fit(label) for label in range(logits.shape[1])])


def score_multilabel(targets: np.ndarray, predictions: np.ndarray, thresholds: np.ndarray, metric: Metric) -> Scored:
    """Score one model, ready for `compare`.

    Args:
        targets: (n, L), 0 or 1.
        predictions: (S, n, L), the probabilities of each seed.
        thresholds: (S, L), those of each seed; or (S, n, L), where the rows of each fold have their own.
        metric: one of `MULTILABEL_METRICS`.

    Raises:
        ConfigError: the metric is unknown, or the predictions cannot be scored.
    """
    look_up(MULTILABEL_METRICS, metric.name, "metric")
    predictions, thresholds = np.asarray(predictions), np.asarray(thresholds)
    if predictions.ndim != 3 or not len(predictions) or len(thresholds) != len(predictions):
        raise ConfigError(
            f"predictions {predictions.shape} and thresholds {thresholds.shape}: shapes do not match. "
            "Give (seeds, examples, labels) and (seeds, labels), and at least one seed."
        )
    seeds = [_check(targets, *each) for each in zip(predictions, thresholds, strict=True)]
    right = np.array([(each.targets == each.predicted).all(axis=1) for each in seeds])
    if metric.name == "subset_accuracy":
        return score_right(metric, right)
    compute = WEIGHTED[metric.name]

    def scores(weights: np.ndarray) -> np.ndarray:
        return np.stack([compute(each, weights)[metric.name] for each in seeds], axis=1)

    return score_resampled(metric, scores, right.shape[1], right=right)


def _check(targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray) -> _Answers:
    is_true, probabilities = _check_targets(targets, probabilities, "probabilities")
    wrong = ~((probabilities >= 0) & (probabilities <= 1)).all(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise ConfigError(
            f"probabilities, row {row}: from {probabilities[row].min():.4g} to {probabilities[row].max():.4g}. "
            "Expected 0 to 1: give sigmoid output, not logits."
        )
    thresholds = np.asarray(thresholds, dtype=np.float64)
    if thresholds.shape not in (is_true.shape[1:], is_true.shape):
        raise ConfigError(
            f"thresholds {thresholds.shape} and targets {is_true.shape}: shapes do not match. Give one for each label."
        )
    return _Answers(is_true, probabilities, probabilities >= thresholds)


def _check_targets(targets: np.ndarray, scores: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    targets, scores = np.asarray(targets), np.asarray(scores, dtype=np.float64)
    if targets.ndim != 2 or targets.shape != scores.shape or not targets.size:
        raise ConfigError(
            f"targets {targets.shape} and {name} {scores.shape}: shapes do not match. "
            "Give (B, L) and (B, L), and at least one example and one label."
        )
    wrong = ~np.isin(targets, (0, 1))
    if wrong.any():
        row, label = np.argwhere(wrong)[0]
        raise ConfigError(f"targets, row {row}, label {label}: {targets[row, label]}. Expected 0 or 1.")
    return targets == 1, scores


def _weighted_scores(answers: _Answers, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Each metric for each row of example weights (R, B), as (R,); NaN where it is undefined."""
    scores: dict[str, np.ndarray] = {}
    for compute in dict.fromkeys(WEIGHTED.values()):
        scores |= compute(answers, weights)
    return scores


def _from_decisions(answers: _Answers, weights: np.ndarray) -> dict[str, np.ndarray]:
    right = weights @ (answers.targets & answers.predicted)  # (R, B) @ (B, L) -> (R, L)
    total = weights @ answers.targets + weights @ answers.predicted
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: undefined
        micro_f1 = 2 * right.sum(axis=1) / total.sum(axis=1)
    return {"micro_f1": micro_f1, "macro_f1": _mean_of_defined(ratio(2 * right, total), total > 0)}


def _from_examples(answers: _Answers, weights: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics that are means over the examples."""
    targets, predicted, probabilities = answers.targets, answers.predicted, answers.probabilities
    size = targets.sum(axis=1) + predicted.sum(axis=1)
    f1 = np.where(size > 0, ratio(2 * (targets & predicted).sum(axis=1), size), 1)
    lowest_true = np.where(targets, probabilities, np.inf).min(axis=1)  # infinite without labels: covers none
    per_example = {
        "sample_f1": f1,
        "subset_accuracy": (targets == predicted).all(axis=1),
        "hamming_loss": (targets != predicted).mean(axis=1),
        "coverage_error": (probabilities >= lowest_true[:, None]).sum(axis=1),
        "log_loss": binary_log_losses(targets, probabilities).mean(axis=1),
    }
    total = weights.sum(axis=1)
    return {name: weights @ values / total for name, values in per_example.items()}


def _from_ranking(answers: _Answers, weights: np.ndarray) -> dict[str, np.ndarray]:
    columns = zip(answers.targets.T, answers.probabilities.T, strict=True)
    ranked = np.array([ranking_scores(target, probability, weights) for target, probability in columns])  # (L, 2, R)
    return {
        name: _mean_of_defined(scores, ~np.isnan(scores))
        for name, scores in zip(("macro_auroc", "macro_average_precision"), ranked.transpose(1, 2, 0), strict=True)
    }


def _from_calibration(answers: _Answers, weights: np.ndarray) -> dict[str, np.ndarray]:
    bins, gaps = calibration_bins(answers.probabilities), answers.targets - answers.probabilities
    errors = [weighted_calibration_error(*each, weights) for each in zip(bins.T, gaps.T, strict=True)]
    return {"ece": np.mean(errors, axis=0)}


WEIGHTED: dict[str, Callable[[_Answers, np.ndarray], dict[str, np.ndarray]]] = {
    "micro_f1": _from_decisions,
    "macro_f1": _from_decisions,
    "sample_f1": _from_examples,
    "subset_accuracy": _from_examples,
    "hamming_loss": _from_examples,
    "coverage_error": _from_examples,
    "macro_average_precision": _from_ranking,
    "macro_auroc": _from_ranking,
    "log_loss": _from_examples,
    "ece": _from_calibration,
}


def _mean_of_defined(scores: np.ndarray, is_defined: np.ndarray) -> np.ndarray:
    """The mean over the labels (R, L) -> (R,) for which a score is defined; NaN where there is none."""
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.where(is_defined, scores, 0).sum(axis=1) / is_defined.sum(axis=1)
    return mean


def _intervals(answers: _Answers, ece: float, resamples: int) -> dict[str, Interval]:
    B = len(answers.targets)
    intervals = percentile_intervals(lambda weights: _weighted_scores(answers, weights), B, resamples=resamples)
    whole = int((answers.targets == answers.predicted).all(axis=1).sum())
    return intervals | {"subset_accuracy": wilson_interval(whole, B), "ece": basic_interval(intervals["ece"], ece)}


def _per_label(answers: _Answers, thresholds: np.ndarray, labels: Sequence[object]) -> dict[str, LabelScores]:
    ones = np.ones((1, len(answers.targets)))
    found = {}
    for column, label in enumerate(labels):
        target, predicted = answers.targets[:, column], answers.predicted[:, column]
        auroc, average_precision = ranking_scores(target, answers.probabilities[:, column], ones)
        right, support, positives = int((target & predicted).sum()), int(target.sum()), int(predicted.sum())
        found[str(label)] = LabelScores(
            threshold=float(thresholds[column]),
            precision=right / positives if positives else None,
            recall=right / support if support else None,
            f1=2 * right / (support + positives) if support + positives else None,
            support=support,
            average_precision=defined(average_precision[0]),
            auroc=defined(auroc[0]),
        )
    return found


def _best_threshold(target: np.ndarray, probability: np.ndarray) -> float:
    if not target.any():
        return 0.5
    upper = np.unique(probability)[::-1]  # the highest threshold of each distinct decision, in descending order
    order = np.argsort(-probability, kind="stable")
    predicted = np.searchsorted(-probability[order], -upper, side="right")  # how many each threshold predicts
    f1 = 2 * target[order].cumsum()[predicted - 1] / (predicted + target.sum())
    lower = np.append(upper[1:], 0.0)
    middle = np.where((lower < 0.5) & (upper >= 0.5), 0.5, (lower + upper) / 2)
    middle = np.where(
        (middle <= lower) & (lower < upper), upper, middle
    )  # between adjacent floats, rounding can go down
    best = middle[f1 == f1.max()]
    return float(best[np.lexsort((best, np.abs(best - 0.5)))[0]])
