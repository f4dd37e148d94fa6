import json
import re

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn import metrics as sk

from ostinato.errors import ConfigError
from ostinato.evaluation.metrics import (
    ClassificationMetrics,
    ClassScores,
    binary_log_losses,
    classification_metrics,
    epoch_metrics,
    expected_calibration_error,
    weighted_scores,
)


def random_predictions(B: int, C: int, seed: int, decimals: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Targets that the probabilities tell something about; few decimals make equal scores common."""
    rng = np.random.default_rng(seed)
    targets = np.concatenate([np.arange(C), rng.integers(C, size=B - C)])
    scores = np.round(rng.random((B, C)) + 0.5 * np.eye(C)[targets], decimals) + 0.01
    return targets, scores / scores.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("decimals", [12, 1])
@pytest.mark.parametrize("C", [2, 3, 7])
def test_metrics_agree_with_scikit_learn(C, decimals):
    targets, probabilities = random_predictions(200, C, seed=C, decimals=decimals)
    predicted = probabilities.argmax(axis=1)
    found = classification_metrics(targets, probabilities, labels=range(C)).to_json()
    positive, scores = (targets, probabilities[:, 1]) if C == 2 else (np.eye(C)[targets], probabilities)
    expected = {
        "accuracy": sk.accuracy_score(targets, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(targets, predicted),
        "macro_f1": sk.f1_score(targets, predicted, average="macro"),
        "micro_f1": sk.f1_score(targets, predicted, average="micro"),
        "mcc": sk.matthews_corrcoef(targets, predicted),
        "auroc": sk.roc_auc_score(positive, scores),
        "average_precision": sk.average_precision_score(positive, scores),
        "log_loss": sk.log_loss(targets, probabilities),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert found["confusion_matrix"] == sk.confusion_matrix(targets, predicted).tolist()


def test_metrics_of_a_table_computed_by_hand():
    targets = np.array([0, 0, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    found = classification_metrics(targets, probabilities, labels=["no", "yes"])
    assert found.confusion_matrix == [[2, 1], [0, 1]]
    assert found.to_json()["per_class"] == {
        "no": {"precision": 1.0, "recall": pytest.approx(2 / 3), "f1": pytest.approx(0.8), "n": 3},
        "yes": {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "n": 1},
    }
    assert (found.n, found.accuracy) == (4, 0.75)
    assert found.balanced_accuracy == pytest.approx(5 / 6)
    assert found.mcc == pytest.approx(2 / np.sqrt(12))  # (1 * 2 - 1 * 0) / sqrt(2 * 1 * 3 * 2)
    assert (found.auroc, found.average_precision) == (1.0, 1.0)


def test_equal_scores_earn_half_of_the_area():
    targets, probabilities = np.array([0, 1, 0, 1]), np.full((4, 2), 0.5)
    found = classification_metrics(targets, probabilities, labels=["a", "b"])
    assert (found.auroc, found.average_precision, found.mcc) == (0.5, 0.5, 0.0)


def test_a_class_missing_from_the_targets_leaves_ranking_metrics_undefined():
    targets = np.array([0, 1, 1])
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7]])
    found = classification_metrics(targets, probabilities, labels=["a", "b", "c"])
    assert (found.auroc, found.average_precision) == (None, None)
    assert found.balanced_accuracy == pytest.approx((1 + 1 / 2) / 2)
    assert found.macro_f1 == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert found.per_class["c"] == ClassScores(precision=0.0, recall=0.0, f1=0.0, n=0)


def test_macro_f1_leaves_out_a_class_neither_true_nor_predicted():
    targets, probabilities = np.array([0, 1]), np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    assert classification_metrics(targets, probabilities, labels="abc").macro_f1 == 1.0


def test_metrics_survive_json():
    targets, probabilities = random_predictions(30, 3, seed=0)
    found = classification_metrics(targets, probabilities.astype(np.float32), labels=[10, 20, 30])
    text = json.dumps(found.to_json(), allow_nan=False)
    assert ClassificationMetrics.from_json(json.loads(text)) == found
    assert list(found.per_class) == ["10", "20", "30"]


def test_log_loss_of_an_impossible_class_is_finite():
    found = classification_metrics(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]), labels=["a", "b"])
    assert found.log_loss == pytest.approx(-np.log(np.finfo(np.float64).eps) / 2)


def test_binary_log_losses_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    targets, probabilities = rng.integers(2, size=(20, 3)), rng.random((20, 3))
    losses = binary_log_losses(targets, probabilities)
    for label in range(3):
        assert losses[:, label].mean() == pytest.approx(sk.log_loss(targets[:, label], probabilities[:, label]))


def test_calibration_error_by_hand():
    # bins of width 1/2: confidences 0.6, 0.8 and 0.9 share one, of which two of three are right
    targets, probabilities = np.array([0, 0, 1]), np.array([[0.6, 0.4], [0.8, 0.2], [0.9, 0.1]])
    assert expected_calibration_error(targets, probabilities, bins=2) == pytest.approx(abs(2 / 3 - 2.3 / 3))
    # 0.5 lies in (0, 0.5], 0.6 in (0.5, 1]: the two errors do not make up for each other
    assert expected_calibration_error(np.array([1, 0]), np.array([[0.5, 0.5], [0.6, 0.4]]), bins=2) == pytest.approx(
        (0.5 + 0.4) / 2
    )
    # bins of width 1/10: each confidence has its own (0.6 lies in (0.5, 0.6])
    assert expected_calibration_error(targets, probabilities, bins=10) == pytest.approx((0.4 + 0.2 + 0.9) / 3)


def test_calibration_error_in_metrics_is_that_of_the_function():
    targets, probabilities = random_predictions(300, 4, seed=1)
    found = classification_metrics(targets, probabilities, labels=range(4))
    assert found.ece == pytest.approx(expected_calibration_error(targets, probabilities), abs=1e-12)


def test_calibration_error_of_sure_and_right_is_zero():
    assert expected_calibration_error(np.array([0, 1]), np.eye(2)) == 0.0


def test_a_weight_of_two_counts_an_example_twice():
    targets, probabilities = random_predictions(40, 3, seed=2, decimals=1)
    counts = np.random.default_rng(0).integers(1, 4, size=40)
    weighted = weighted_scores(targets, probabilities, counts[None].astype(float))
    repeated = weighted_scores(targets.repeat(counts), probabilities.repeat(counts, axis=0), np.ones((1, counts.sum())))
    assert {name: score[0] for name, score in weighted.items()} == pytest.approx(
        {name: score[0] for name, score in repeated.items()}, abs=1e-12
    )


def test_a_weight_of_zero_leaves_an_example_out():
    targets, probabilities = random_predictions(40, 3, seed=3, decimals=1)
    included = np.arange(40) % 2 == 0
    weighted = weighted_scores(targets, probabilities, included[None].astype(float))
    left = weighted_scores(targets[included], probabilities[included], np.ones((1, 20)))
    assert {name: score[0] for name, score in weighted.items()} == pytest.approx(
        {name: score[0] for name, score in left.items()}, abs=1e-12
    )


def test_order_of_examples_does_not_matter():
    targets, probabilities = random_predictions(60, 3, seed=4, decimals=1)
    order = np.random.default_rng(0).permutation(60)
    a, b = (weighted_scores(targets[i], probabilities[i], np.ones((1, 60))) for i in (np.arange(60), order))
    for name, score in a.items():
        assert score == pytest.approx(b[name], abs=1e-12), name


def test_epoch_metrics_are_those_of_the_softmax():
    rng = np.random.default_rng(0)
    targets, logits = rng.integers(3, size=50), rng.normal(size=(50, 3)).astype(np.float32)
    found = epoch_metrics(targets, logits)
    full = classification_metrics(targets, np.exp(log_softmax(logits.astype(np.float64), axis=1)), labels=range(3))
    assert found == pytest.approx({"loss": full.log_loss, "accuracy": full.accuracy, "macro_f1": full.macro_f1})


def test_epoch_loss_of_extreme_logits_is_exact():
    assert epoch_metrics(np.array([1]), np.array([[1000.0, 0.0]]))["loss"] == 1000.0


@pytest.mark.parametrize(
    ("targets", "probabilities", "message"),
    [
        ([0, 1], [[1.0, 0.0]], "targets (2,) and probabilities (1, 2)"),
        ([], np.empty((0, 2)), "probabilities (0, 2)"),
        ([0, 2], [[1.0, 0.0], [0.0, 1.0]], "targets from 0 to 2"),
        ([0, -1], [[1.0, 0.0], [0.0, 1.0]], "targets from -1 to 0"),
        ([0.0, 1.0], [[1.0, 0.0], [0.0, 1.0]], "(float64)"),
        ([0, 1], [[1.0, 0.0], [3.0, -2.0]], "row 1: smallest -2, sum 1"),
        ([0, 1], [[0.5, 2.0], [0.0, 1.0]], "row 0: smallest 0.5, sum 2.5"),
        ([0, 1], [[0.5, np.nan], [0.0, 1.0]], "row 0: smallest nan"),
    ],
)
def test_what_cannot_be_scored_is_refused(targets, probabilities, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        classification_metrics(np.array(targets), np.array(probabilities), labels=["a", "b"])


def test_a_wrong_number_of_labels_is_refused():
    with pytest.raises(ConfigError, match=r"3 labels .* 2 columns"):
        classification_metrics(np.array([0, 1]), np.eye(2), labels=["a", "b", "c"])
