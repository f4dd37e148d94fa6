import json

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn import metrics as sk

from ostinato.errors import ConfigError
from ostinato.evaluation.metrics import expected_calibration_error
from ostinato.evaluation.results import Metric
from ostinato.evaluation.statistics import compare, verdict
from ostinato.tasks.multilabel.metrics import (
    MULTILABEL_METRICS,
    MultilabelMetrics,
    choose_thresholds,
    fit_temperatures,
    multilabel_metrics,
    score_multilabel,
)

LABELS = ["a", "b", "c", "d"]
THRESHOLDS = np.array([0.5, 0.4, 0.6, 0.3])


def random_predictions(B: int, seed: int, decimals: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = (rng.random((B, 4)) < [0.5, 0.3, 0.2, 0.1]).astype(int)
    targets[:2] = [[1] * 4, [0] * 4]
    return targets, np.round(0.6 * rng.random((B, 4)) + 0.3 * targets + 0.05, decimals)


@pytest.mark.parametrize("decimals", [12, 1])
def test_metrics_agree_with_scikit_learn(decimals):
    targets, probabilities = random_predictions(150, 0, decimals)
    predicted = (probabilities >= THRESHOLDS).astype(int)
    found = multilabel_metrics(targets, probabilities, THRESHOLDS, LABELS, resamples=0)
    expected = {
        "micro_f1": sk.f1_score(targets, predicted, average="micro"),
        "macro_f1": sk.f1_score(targets, predicted, average="macro"),
        "sample_f1": sk.f1_score(targets, predicted, average="samples", zero_division=1),
        "subset_accuracy": sk.accuracy_score(targets, predicted),
        "hamming_loss": sk.hamming_loss(targets, predicted),
        "coverage_error": sk.coverage_error(targets, probabilities),
        "macro_average_precision": sk.average_precision_score(targets, probabilities, average="macro"),
        "macro_auroc": sk.roc_auc_score(targets, probabilities, average="macro"),
        "log_loss": np.mean([sk.log_loss(targets[:, k], probabilities[:, k]) for k in range(4)]),
    }
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected, abs=1e-12)
    precision, recall, f1, support = sk.precision_recall_fscore_support(targets, predicted)
    for k, label in enumerate(LABELS):
        assert found.per_label[label].model_dump() == pytest.approx(
            {
                "threshold": THRESHOLDS[k],
                "precision": precision[k],
                "recall": recall[k],
                "f1": f1[k],
                "support": support[k],
                "average_precision": sk.average_precision_score(targets[:, k], probabilities[:, k]),
                "auroc": sk.roc_auc_score(targets[:, k], probabilities[:, k]),
            }
        )


def test_ece_by_hand_is_the_mean_over_labels():
    # label a: 0.9 twice, right once; label b: 0.2 and 0.7 in bins of their own
    targets, probabilities = np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.2], [0.9, 0.7]])
    found = multilabel_metrics(targets, probabilities, np.array([0.5, 0.5]), ["a", "b"], resamples=0)
    assert found.ece == pytest.approx((0.4 + (0.2 + 0.3) / 2) / 2)


def test_ece_of_confident_labels_is_that_of_two_classes():
    rng = np.random.default_rng(0)
    positive = rng.uniform(0.5, 1, size=(100, 1))
    targets = (rng.random((100, 1)) < 0.8).astype(int)
    found = multilabel_metrics(targets, positive, np.array([0.5]), ["a"], resamples=0)
    two_classes = np.concatenate([1 - positive, positive], axis=1)
    assert found.ece == pytest.approx(expected_calibration_error(targets[:, 0], two_classes))


def test_undefined_scores_are_null_and_left_out_of_means():
    targets = np.array([[1, 0, 1], [0, 0, 1]])  # b never occurs, c always does
    probabilities = np.array([[0.9, 0.1, 0.2], [0.1, 0.2, 0.1]])  # b and c are never predicted
    found = multilabel_metrics(targets, probabilities, np.full(3, 0.5), ["a", "b", "c"], resamples=0)
    a, b, c = found.per_label.values()
    assert (a.precision, a.recall, a.f1, a.average_precision, a.auroc) == (1, 1, 1, 1, 1)
    assert (b.precision, b.recall, b.f1, b.support, b.average_precision, b.auroc) == (None, None, None, 0, None, None)
    assert (c.precision, c.recall, c.f1, c.average_precision, c.auroc) == (None, 0, 0, 1, None)
    assert (found.macro_f1, found.macro_average_precision, found.macro_auroc) == (0.5, 1, 1)
    nothing = multilabel_metrics(np.zeros((3, 2), int), np.full((3, 2), 0.1), np.full(2, 0.5), ["a", "b"], resamples=9)
    assert (nothing.micro_f1, nothing.macro_f1, nothing.macro_auroc) == (None, None, None)
    assert (nothing.sample_f1, nothing.subset_accuracy, nothing.coverage_error) == (1, 1, 0)
    assert "micro_f1" not in nothing.intervals


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")  # resamples without a label
def test_intervals_are_the_quantiles_of_resamples_scored_by_scikit_learn():
    targets, probabilities = random_predictions(60, 1)
    predicted = (probabilities >= THRESHOLDS).astype(int)
    found = multilabel_metrics(targets, probabilities, THRESHOLDS, LABELS, resamples=50)
    drawn = np.random.default_rng(0).integers(60, size=(50, 60))
    scores = {
        "micro_f1": lambda rows: sk.f1_score(targets[rows], predicted[rows], average="micro"),
        "hamming_loss": lambda rows: sk.hamming_loss(targets[rows], predicted[rows]),
        "coverage_error": lambda rows: sk.coverage_error(targets[rows], probabilities[rows]),
        "macro_auroc": lambda rows: np.nanmean(
            [sk.roc_auc_score(targets[rows, k], probabilities[rows, k]) for k in range(4)]
        ),
    }
    for name, score in scores.items():
        expected = np.quantile([score(rows) for rows in drawn], [0.025, 0.975])
        assert found.intervals[name] == pytest.approx(tuple(expected)), name
    low, high = found.intervals["subset_accuracy"]
    assert low < found.subset_accuracy < high
    assert found.intervals["ece"][0] <= found.ece <= found.intervals["ece"][1]


def test_metrics_survive_json():
    targets, probabilities = random_predictions(30, 2)
    found = multilabel_metrics(targets, probabilities, THRESHOLDS, LABELS, resamples=20)
    assert MultilabelMetrics.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found


def test_chosen_thresholds_reach_the_best_f1_of_all():
    targets, probabilities = random_predictions(80, 3, decimals=2)
    chosen = choose_thresholds(targets, probabilities)
    for k in range(4):
        every = [
            sk.f1_score(targets[:, k], probabilities[:, k] >= threshold)
            for threshold in [*probabilities[:, k], chosen[k]]
        ]
        assert every[-1] == max(every)


def test_thresholds_by_hand():
    targets = np.array([[1, 0, 1, 1], [0, 0, 1, 0], [1, 0, 1, 1], [0, 0, 1, 0]])
    probabilities = np.array([[0.9, 0.1, 0.9, 0.4], [0.1, 0.9, 0.8, 0.1], [0.6, 0.5, 0.7, 0.3], [0.2, 0.3, 0.6, 0.2]])
    # a: 0.2 to 0.6 contains 0.5; b never occurs; c always: 0 to 0.6 contains 0.5; d: midway from 0.2 to 0.3
    assert choose_thresholds(targets, probabilities) == pytest.approx(np.array([0.5, 0.5, 0.5, 0.25]))


def test_of_equally_good_thresholds_the_nearest_to_a_half_wins():
    targets = np.array([[1], [0], [0], [1]])  # F1 is 2/3 for the first alone and for all four
    for probabilities, expected in (
        ([0.9, 0.4, 0.3, 0.2], 0.5),
        ([0.9, 0.8, 0.3, 0.2], 0.85),
        ([0.9, 0.85, 0.6, 0.4], 0.2),
    ):
        assert choose_thresholds(targets, np.array(probabilities)[:, None])[0] == pytest.approx(expected)


def test_fitted_temperatures_have_the_lowest_log_loss():
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(5000, 3))
    targets = (rng.random((5000, 3)) < expit(logits)).astype(int)
    found = fit_temperatures(logits * [1, 3, 0.5], targets)
    assert found == pytest.approx(np.array([1, 3, 0.5]), rel=0.1)
    for k, factor in enumerate([1, 3, 0.5]):
        best = minimize_scalar(
            lambda t, k=k, f=factor: sk.log_loss(targets[:, k], expit(logits[:, k] * f / t)),
            bounds=(0.05, 20),
            method="bounded",
        )
        assert found[k] == pytest.approx(best.x, rel=1e-2)


def test_labels_that_never_vary_keep_temperature_one_and_separable_ones_stop_at_the_bound():
    logits = np.array([[2.0, 1.0, 1.0], [-2.0, -1.0, 3.0]])
    assert fit_temperatures(logits, np.array([[1, 0, 1], [0, 0, 1]])).tolist() == [0.05, 1.0, 1.0]


@pytest.mark.parametrize("name", MULTILABEL_METRICS)
def test_a_better_model_is_found_better_by_every_metric(name):
    rng = np.random.default_rng(0)
    targets = (rng.random((400, 3)) < 0.4).astype(int)
    good, poor = (expit(rng.normal(size=(3, 400, 3)) + strength * (2 * targets - 1)) for strength in (2.0, 0.5))
    thresholds = np.full((3, 3), 0.5)
    first, second = (score_multilabel(targets, each, thresholds, MULTILABEL_METRICS[name]) for each in (good, poor))
    single = multilabel_metrics(targets, good[1], thresholds[1], ["a", "b", "c"], resamples=0)
    assert first.scores[1] == pytest.approx(getattr(single, name))
    found = compare(first, second)
    assert verdict(found, found.p) == "better"
    assert found.interval[0] <= found.difference <= found.interval[1]


def test_subset_accuracy_is_compared_by_mcnemar():
    targets, probabilities = random_predictions(50, 4)
    scored = score_multilabel(targets, probabilities[None], THRESHOLDS[None], MULTILABEL_METRICS["subset_accuracy"])
    assert compare(scored, scored).test.startswith("McNemar")


def test_what_cannot_be_scored_is_refused():
    targets, probabilities = random_predictions(5, 0)
    for arguments, message in [
        ((targets[:4], probabilities, THRESHOLDS, LABELS), r"\(4, 4\).*\(5, 4\)"),
        ((targets, probabilities + 1, THRESHOLDS, LABELS), "row 0"),
        ((targets, probabilities, THRESHOLDS[:3], LABELS), r"\(3,\)"),
        ((targets, probabilities, THRESHOLDS, LABELS[:3]), "3 labels"),
        ((targets + np.eye(5, 4, -1, int) * 2, probabilities, THRESHOLDS, LABELS), "row 1, label 0"),
    ]:
        with pytest.raises(ConfigError, match=message):
            multilabel_metrics(*arguments)
    with pytest.raises(ConfigError, match="row 0"):
        fit_temperatures(np.full((5, 4), np.nan), targets)
    with pytest.raises(ConfigError, match=r"\(5, 4\)"):
        score_multilabel(targets, probabilities, THRESHOLDS, MULTILABEL_METRICS["micro_f1"])
    with pytest.raises(ConfigError, match="'f2'"):
        score_multilabel(targets, probabilities[None], THRESHOLDS[None], Metric("f2"))
