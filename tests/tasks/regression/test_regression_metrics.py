import json

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn import metrics as sk

from ostinato.errors import ConfigError
from ostinato.evaluation.results import Metric
from ostinato.evaluation.statistics import compare, verdict
from ostinato.tasks.regression.metrics import (
    REGRESSION_METRICS,
    RegressionMetrics,
    regression_metrics,
    score_regression,
)

QUANTILES = (0.1, 0.25, 0.5, 0.9)


def random_predictions(B: int, seed: int, decimals: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = np.round(rng.normal(size=(B, 2)) * [1, 100] + [5, 1000], decimals)
    return targets, np.round(targets + rng.normal(size=(B, 2)) * [0.5, 80], decimals)


def random_quantiles(predictions: np.ndarray) -> np.ndarray:
    return predictions[..., None] + np.array([1.0, 80.0])[:, None] * np.array([-1.3, -0.7, 0.0, 1.3])


@pytest.mark.parametrize("decimals", [12, 0])
def test_metrics_agree_with_scikit_learn_and_scipy(decimals):
    targets, predictions = random_predictions(120, 0, decimals)
    found = regression_metrics(targets, predictions, names=["x", "y"], resamples=0)
    for k, scores in enumerate(found.per_output.values()):
        expected = {
            "mae": sk.mean_absolute_error(targets[:, k], predictions[:, k]),
            "rmse": sk.root_mean_squared_error(targets[:, k], predictions[:, k]),
            "r2": sk.r2_score(targets[:, k], predictions[:, k]),
            "spearman": spearmanr(targets[:, k], predictions[:, k]).statistic,
        }
        assert {name: getattr(scores, name) for name in expected} == pytest.approx(expected, rel=1e-10)
    assert list(found.per_output) == ["x", "y"]
    assert (found.mae, found.rmse, found.r2) == pytest.approx(
        (
            sk.mean_absolute_error(targets, predictions),
            sk.root_mean_squared_error(targets, predictions),
            sk.r2_score(targets, predictions),
        )
    )
    assert found.spearman == pytest.approx(np.mean([scores.spearman for scores in found.per_output.values()]))
    assert (found.n, found.pinball_loss, found.pinball_losses, found.central_intervals) == (120, None, {}, [])


def test_quantiles_agree_with_scikit_learn_and_a_count():
    targets, predictions = random_predictions(120, 1)
    of_quantiles = random_quantiles(predictions)
    found = regression_metrics(
        targets, predictions, names=["x", "y"], quantiles=QUANTILES, quantile_predictions=of_quantiles, resamples=0
    )
    for q, level in enumerate(QUANTILES):
        expected = sk.mean_pinball_loss(targets, of_quantiles[..., q], alpha=level, multioutput="raw_values")
        assert found.pinball_losses[f"{level:g}"] == pytest.approx(expected.mean())
        assert [each.pinball_losses[f"{level:g}"] for each in found.per_output.values()] == pytest.approx(
            expected.tolist()
        )
    assert found.pinball_loss == pytest.approx(np.mean(list(found.pinball_losses.values())))
    (interval,) = found.per_output["y"].central_intervals  # 0.25 has no 0.75
    inside = [
        low <= target <= high for target, (low, _, _, high) in zip(targets[:, 1], of_quantiles[:, 1], strict=True)
    ]
    assert (interval.lower, interval.upper) == (0.1, 0.9)
    assert interval.coverage == pytest.approx(np.mean(inside))
    assert interval.width == pytest.approx(2.6 * 80)
    assert found.central_intervals[0].width == pytest.approx(2.6 * 40.5)


def test_constant_targets_and_predictions_leave_scores_undefined():
    targets = np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0]])
    predictions = np.array([[0.2, 2.0], [0.3, 2.0], [0.1, 2.0]])
    found = regression_metrics(targets, predictions, names=["constant", "varying"], resamples=20)
    assert (found.per_output["constant"].r2, found.per_output["constant"].spearman) == (None, None)
    assert (found.per_output["varying"].r2, found.per_output["varying"].spearman) == (0, None)
    assert (found.r2, found.spearman) == (0, None)
    assert "spearman" not in found.intervals


def test_intervals_are_the_quantiles_of_resamples_scored_by_scikit_learn():
    targets, predictions = random_predictions(50, 2, decimals=0)
    of_quantiles = random_quantiles(predictions)
    found = regression_metrics(
        targets, predictions, names=["x", "y"], quantiles=QUANTILES, quantile_predictions=of_quantiles, resamples=60
    ).intervals
    covered = (of_quantiles[..., 0] <= targets) & (targets <= of_quantiles[..., 3])
    scores = {
        "mae": lambda rows: sk.mean_absolute_error(targets[rows], predictions[rows]),
        "rmse": lambda rows: sk.root_mean_squared_error(targets[rows], predictions[rows]),
        "r2": lambda rows: sk.r2_score(targets[rows], predictions[rows]),
        "spearman": lambda rows: np.mean(
            [spearmanr(targets[rows, k], predictions[rows, k]).statistic for k in range(2)]
        ),
        "pinball_loss": lambda rows: np.mean(
            [
                sk.mean_pinball_loss(targets[rows], of_quantiles[rows][..., q], alpha=level)
                for q, level in enumerate(QUANTILES)
            ]
        ),
        "coverage_0.8": lambda rows: covered[rows].mean(),
    }
    assert set(found) == set(scores)
    drawn = np.random.default_rng(0).integers(50, size=(60, 50))
    for name, score in scores.items():
        expected = np.quantile([score(rows) for rows in drawn], [0.025, 0.975])
        assert found[name] == pytest.approx(tuple(expected)), name


def test_metrics_survive_json():
    targets, predictions = random_predictions(20, 3)
    found = regression_metrics(
        targets,
        predictions,
        names=["x", "y"],
        quantiles=QUANTILES,
        quantile_predictions=random_quantiles(predictions),
        resamples=10,
    )
    assert RegressionMetrics.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found


@pytest.mark.parametrize("name", REGRESSION_METRICS)
def test_a_better_model_is_found_better_by_every_metric(name):
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(300, 2))
    good, poor = (targets + scale * rng.normal(size=(3, 300, 2)) for scale in (0.3, 1.0))
    first, second = (
        score_regression(targets, each, REGRESSION_METRICS[name], quantiles=[0.5], quantile_predictions=each[..., None])
        for each in (good, poor)
    )
    single = regression_metrics(
        targets, good[1], names=["x", "y"], quantiles=[0.5], quantile_predictions=good[1][..., None], resamples=0
    )
    assert first.scores[1] == pytest.approx(getattr(single, name))
    found = compare(first, second)
    assert verdict(found, found.p) == "better"
    assert found.interval[0] <= found.difference <= found.interval[1]


def test_what_cannot_be_scored_is_refused():
    targets, predictions = random_predictions(5, 0)
    for arguments, options, message in [
        ((targets[:4], predictions), {}, r"\(4, 2\).*\(5, 2\)"),
        ((targets[:, 0], predictions[:, 0]), {}, r"\(5,\)"),
        ((targets, predictions * [np.nan, 1]), {}, "predictions, row 0"),
        ((targets, predictions), {"names": ["x"]}, "1 names"),
        ((targets, predictions), {"quantiles": [0.9, 0.1]}, r"\[0.9, 0.1\]"),
        ((targets, predictions), {"quantiles": [0, 0.5]}, r"\[0.0, 0.5\]"),
        ((targets, predictions), {"quantiles": [0.5]}, r"\(5, 2, 0\)"),
    ]:
        with pytest.raises(ConfigError, match=message):
            regression_metrics(*arguments, **{"names": ["x", "y"], **options})
    with pytest.raises(ConfigError, match=r"\(5, 2\)"):
        score_regression(targets, predictions, REGRESSION_METRICS["mae"])
    with pytest.raises(ConfigError, match="'mse'"):
        score_regression(targets, predictions[None], Metric("mse"))
    with pytest.raises(ConfigError, match="None"):
        score_regression(targets, predictions[None], REGRESSION_METRICS["pinball_loss"])
