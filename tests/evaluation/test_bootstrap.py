import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, matthews_corrcoef, roc_auc_score

from ostinato.errors import ConfigError
from ostinato.evaluation import bootstrap
from ostinato.evaluation.bootstrap import bootstrap_intervals
from ostinato.evaluation.metrics import classification_metrics


def noisy_predictions(B: int, C: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = np.concatenate([np.arange(C), rng.integers(C, size=B - C)])
    scores = np.exp(rng.normal(size=(B, C)) + 1.5 * np.eye(C)[targets])
    return targets, scores / scores.sum(axis=1, keepdims=True)


def sure_predictions(correct: int, total: int) -> tuple[np.ndarray, np.ndarray]:
    targets = np.arange(total) % 2
    predicted = np.where(np.arange(total) < correct, targets, 1 - targets)
    return targets, np.eye(2)[predicted] * 0.8 + 0.1


def test_accuracy_has_the_wilson_interval():
    z, n, p = 1.959963984540054, 50, 45 / 50
    centre, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    found = bootstrap_intervals(*sure_predictions(45, 50), resamples=10)
    expected = ((centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n))
    assert found["accuracy"] == pytest.approx(expected)
    assert found["micro_f1"] == found["accuracy"]


def test_all_right_is_not_certainty():
    found = bootstrap_intervals(*sure_predictions(500, 500), resamples=100)
    assert found["accuracy"] == pytest.approx((0.99238, 1.0), abs=1e-5)  # n / (n + z²)
    assert found["macro_f1"] == (1.0, 1.0)


def test_intervals_are_the_quantiles_of_resamples_scored_by_scikit_learn():
    targets, probabilities = noisy_predictions(80, 2, seed=0)
    predicted, scores = probabilities.argmax(axis=1), probabilities[:, 1]
    drawn = {
        "balanced_accuracy": lambda rows: balanced_accuracy_score(targets[rows], predicted[rows]),
        "macro_f1": lambda rows: f1_score(targets[rows], predicted[rows], average="macro"),
        "mcc": lambda rows: matthews_corrcoef(targets[rows], predicted[rows]),
        "auroc": lambda rows: roc_auc_score(targets[rows], scores[rows]),
        "average_precision": lambda rows: average_precision_score(targets[rows], scores[rows]),
    }
    found = bootstrap_intervals(targets, probabilities, resamples=100, seed=7)
    resamples = np.random.default_rng(7).integers(80, size=(100, 80))
    for name, score in drawn.items():
        assert found[name] == pytest.approx(
            tuple(np.quantile([score(rows) for rows in resamples], [0.025, 0.975])), abs=1e-12
        ), name


def test_interval_of_the_mean_agrees_with_the_normal_one():
    targets, probabilities = noisy_predictions(1000, 3, seed=1)
    losses = -np.log(probabilities[np.arange(1000), targets])
    half = 1.96 * losses.std() / np.sqrt(1000)
    expected = (losses.mean() - half, losses.mean() + half)
    assert bootstrap_intervals(targets, probabilities, resamples=4000)["log_loss"] == pytest.approx(
        expected, abs=0.1 * half
    )


@pytest.mark.parametrize("seed", range(5))
def test_every_interval_holds_its_estimate(seed):
    targets, probabilities = noisy_predictions(300, 3, seed)
    estimates = classification_metrics(targets, probabilities, labels=range(3)).to_json()
    for name, (low, high) in bootstrap_intervals(targets, probabilities, resamples=200).items():
        assert low - 1e-12 <= estimates[name] <= high + 1e-12, name


def test_calibration_interval_of_a_calibrated_model_reaches_down_to_zero():
    rng = np.random.default_rng(0)
    chance = rng.uniform(size=3000)
    targets, probabilities = (rng.random(3000) < chance).astype(int), np.stack([1 - chance, chance], axis=1)
    low, high = bootstrap_intervals(targets, probabilities)["ece"]
    assert low < 0.005 and high < 0.05


def test_a_higher_level_gives_wider_intervals():
    targets, probabilities = noisy_predictions(200, 2, seed=2)
    narrow, wide = (bootstrap_intervals(targets, probabilities, resamples=500, level=level) for level in (0.5, 0.99))
    assert all(
        wide[name][0] < narrow[name][0] and narrow[name][1] < wide[name][1]
        for name in ("accuracy", "macro_f1", "auroc", "log_loss")
    )


def test_the_seed_draws_the_resamples():
    targets, probabilities = noisy_predictions(100, 2, seed=3)
    first, again, other = (bootstrap_intervals(targets, probabilities, resamples=50, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first["auroc"] != other["auroc"]


def test_chunks_do_not_change_the_result(monkeypatch):
    targets, probabilities = noisy_predictions(100, 3, seed=4)
    whole = bootstrap_intervals(targets, probabilities, resamples=50)
    monkeypatch.setattr(bootstrap, "CHUNK", 700)
    for name, interval in bootstrap_intervals(targets, probabilities, resamples=50).items():
        assert interval == pytest.approx(whole[name], abs=1e-12), name


def test_undefined_metrics_have_no_interval():
    found = bootstrap_intervals(np.array([0, 1, 1, 0]), np.full((4, 3), 1 / 3), resamples=20)
    assert "auroc" not in found and "average_precision" not in found and "log_loss" in found


def test_resamples_without_a_class_do_not_count():
    targets = np.array([1] + [0] * 9)  # a third of the resamples lack the one example of class 1
    chance = np.where(targets == 1, 0.9, 0.1)
    assert bootstrap_intervals(targets, np.stack([1 - chance, chance], axis=1), resamples=200)["auroc"] == (1.0, 1.0)


@pytest.mark.parametrize(
    ("option", "message"), [({"level": 95}, "level 95"), ({"level": 0}, "level 0"), ({"resamples": 0}, "resamples 0")]
)
def test_options_out_of_range_are_refused(option, message):
    with pytest.raises(ConfigError, match=message):
        bootstrap_intervals(np.array([0, 1]), np.eye(2), **option)
