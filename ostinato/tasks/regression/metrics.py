"""Metrics of predicted numbers and quantiles.

Every metric is a function of example weights: weights of 1 give the metric of a split, random counts give a bootstrap
resample. A metric and its interval therefore share one definition.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ostinato.errors import ConfigError, look_up
from ostinato.evaluation.bootstrap import percentile_intervals
from ostinato.evaluation.metrics import defined
from ostinato.evaluation.results import Metric, Metrics, Scores
from ostinato.evaluation.statistics import Scored, score_resampled

REGRESSION_METRICS: dict[str, Metric] = {
    "mae": Metric("mae", higher_is_better=False, scale=1, unit="", bounds=(0.0, np.inf)),
    "rmse": Metric("rmse", higher_is_better=False, scale=1, unit="", bounds=(0.0, np.inf)),
    "r2": Metric("r2", bounds=(-np.inf, 1.0)),
    "spearman": Metric("spearman", bounds=(-1.0, 1.0)),
    "pinball_loss": Metric("pinball_loss", higher_is_better=False, scale=1, unit="", bounds=(0.0, np.inf)),
}


class CentralInterval(Scores):
    """The interval between two predicted quantiles with equal tails, such as 0.1 and 0.9.

    Args:
        lower, upper: the two quantiles; the interval should cover `upper` - `lower` of the targets.
        coverage: share of targets inside, bounds included.
        width: mean distance between the two predictions, in the targets' unit.
    """

    lower: float
    upper: float
    coverage: float
    width: float


class OutputScores(Scores):
    """Scores of one output.

    Args:
        mae, rmse: mean absolute error and root mean squared error, in the target's unit.
        r2: coefficient of determination; None where the target is constant.
        spearman: rank correlation; None where the target or the prediction is constant.
        pinball_losses: by quantile, such as "0.9".
        central_intervals: one for each pair of quantiles with equal tails.
    """

    mae: float
    rmse: float
    r2: float | None
    spearman: float | None
    pinball_losses: dict[str, float]
    central_intervals: list[CentralInterval]


class RegressionMetrics(Metrics):
    """Metrics of predicted numbers; each is the mean over the outputs for which it is defined.

    Args:
        mae, rmse, r2, spearman, pinball_losses, central_intervals: as in `OutputScores`.
        pinball_loss: mean over the quantiles; None without quantiles.
        per_output: by name, in the order of the columns.
    """

    mae: float
    rmse: float
    r2: float | None
    spearman: float | None
    pinball_loss: float | None
    pinball_losses: dict[str, float]
    central_intervals: list[CentralInterval]
    per_output: dict[str, OutputScores]


def regression_metrics(
    targets: np.ndarray,
    predictions: np.ndarray,
    *,
    names: Sequence[str],
    quantiles: Sequence[float] | None = None,
    quantile_predictions: np.ndarray | None = None,
    resamples: int = 1000,
) -> RegressionMetrics:
    """Score predicted numbers, with 95 % percentile bootstrap intervals over the examples.

    `intervals` also holds `pinball_loss` and, for each central interval, its coverage: `coverage_0.8` for the one
    between the quantiles 0.1 and 0.9.

    Args:
        targets: (B, K).
        predictions: (B, K).
        names: the K outputs, in the order of the columns.
        quantiles: Q increasing levels between 0 and 1.
        quantile_predictions: (B, K, Q).
        resamples: number of bootstrap resamples; 0: no intervals.

    Raises:
        ConfigError: shapes do not match, there is no example, a value is not finite or a quantile is out of range.
    """
    targets, predictions = _check(targets, predictions)
    B, K = targets.shape
    if len(names) != K:
        raise ConfigError(f"{len(names)} names were given for {K} columns of targets. Give one name for each column.")
    levels, quantile_predictions = _check_quantiles(targets, quantiles, quantile_predictions)
    ones = np.ones((1, B))
    scores = {name: compute(targets, predictions, ones)[0] for name, compute in WEIGHTED.items()}  # (K,) each
    per_output = {
        str(name): OutputScores(
            mae=scores["mae"][k],
            rmse=scores["rmse"][k],
            r2=defined(scores["r2"][k]),
            spearman=defined(scores["spearman"][k]),
            pinball_losses=_pinball_losses(targets[:, [k]], levels, quantile_predictions[:, [k]]),
            central_intervals=_central_intervals(targets[:, [k]], levels, quantile_predictions[:, [k]]),
        )
        for k, name in enumerate(names)
    }
    means = {name: defined(_mean_of_defined(each[None])[0]) for name, each in scores.items()}
    losses = _pinball_losses(targets, levels, quantile_predictions)
    return RegressionMetrics.model_validate(
        {
            "n": B,
            **means,
            "pinball_loss": float(np.mean(list(losses.values()))) if losses else None,
            "pinball_losses": losses,
            "central_intervals": _central_intervals(targets, levels, quantile_predictions),
            "per_output": per_output,
            "intervals": _intervals(targets, predictions, levels, quantile_predictions, resamples) if resamples else {},
        }
    )


def score_regression(
    targets: np.ndarray,
    predictions: np.ndarray,
    metric: Metric,
    *,
    quantiles: Sequence[float] | None = None,
    quantile_predictions: np.ndarray | None = None,
) -> Scored:
    """Score one model, ready for `compare`.

    Args:
        targets: (n, K).
        predictions: (S, n, K), those of each seed.
        metric: one of `REGRESSION_METRICS`; `pinball_loss` needs quantiles.
        quantiles: Q increasing levels between 0 and 1.
        quantile_predictions: (S, n, K, Q), those of each seed.

    Raises:
        ConfigError: the metric is unknown, or the predictions cannot be scored.
    """
    look_up(REGRESSION_METRICS, metric.name, "metric")
    predictions = np.asarray(predictions)
    if predictions.ndim != 3 or not len(predictions):
        raise ConfigError(
            f"predictions {predictions.shape}: wrong shape. Give (seeds, examples, outputs), and at least one seed."
        )
    seeds = [_check(targets, each)[1] for each in predictions]
    targets = _check(targets, predictions[0])[0]
    if metric.name == "pinball_loss":
        losses = _losses_of_seeds(targets, quantiles, quantile_predictions)  # (S, n)
        return score_resampled(metric, lambda weights: _mean(losses.T, weights), len(targets))
    compute = WEIGHTED[metric.name]

    def scores(weights: np.ndarray) -> np.ndarray:
        return np.stack([_mean_of_defined(compute(targets, each, weights)) for each in seeds], axis=1)

    return score_resampled(metric, scores, len(targets))


def _check(targets: np.ndarray, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    targets, predictions = np.asarray(targets, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    if targets.ndim != 2 or targets.shape != predictions.shape or not targets.size:
        raise ConfigError(
            f"targets {targets.shape} and predictions {predictions.shape}: shapes do not match. "
            "Give (B, K) and (B, K), and at least one example and one output."
        )
    _check_finite(targets, "targets")
    _check_finite(predictions, "predictions")
    return targets, predictions


def _check_quantiles(
    targets: np.ndarray, quantiles: Sequence[float] | None, predictions: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Levels (Q,) and predictions (B, K, Q); Q is 0 without quantiles."""
    levels = np.asarray([] if quantiles is None else quantiles, dtype=np.float64)
    if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all() or (np.diff(levels) <= 0).any():
        raise ConfigError(
            f"quantiles {levels.tolist()}: expected increasing levels between 0 and 1, such as 0.1, 0.5, 0.9."
        )
    shape = (*targets.shape, len(levels))
    predictions = np.empty((*targets.shape, 0)) if predictions is None else np.asarray(predictions, dtype=np.float64)
    if predictions.shape != shape:
        raise ConfigError(
            f"quantile_predictions {predictions.shape} for {len(levels)} quantiles: shapes do not match. Give {shape}."
        )
    _check_finite(predictions, "quantile_predictions")
    return levels, predictions


def _check_finite(values: np.ndarray, name: str) -> None:
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).any(axis=tuple(range(1, values.ndim))).argmax())
        raise ConfigError(f"{name}, row {row}: {values[row].tolist()}. Expected finite numbers.")


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted means over the examples: (B, K), (R, B) -> (R, K)."""
    mean: np.ndarray = weights @ values / weights.sum(axis=1, keepdims=True)
    return mean


def _mae(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _mean(np.abs(targets - predictions), weights)


def _rmse(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(_mean((targets - predictions) ** 2, weights)))


def _r2(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    centred = targets - targets.mean(axis=0)  # avoids cancellation in the variance
    variance = _mean(centred**2, weights) - _mean(centred, weights) ** 2
    error = _mean((targets - predictions) ** 2, weights)
    constant = np.stack([_is_constant(column, weights) for column in targets.T], axis=1)
    ratio = np.divide(error, variance, out=np.full_like(error, np.nan), where=~constant & (variance > 0))
    return np.asarray(1 - ratio)


def _spearman(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    columns = zip(targets.T, predictions.T, strict=True)
    return np.stack([_rank_correlation(*each, weights) for each in columns], axis=1)


def _rank_correlation(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spearman's correlation of (B,) and (B,) for each row of integer weights, as (R,): Pearson's of the mid-ranks."""
    x, y = _centred_ranks(first, weights), _centred_ranks(second, weights)
    covariance, spread = (weights * x * y).sum(axis=1), (weights * x**2).sum(axis=1) * (weights * y**2).sum(axis=1)
    correlation = np.divide(covariance, np.sqrt(spread), out=np.full(len(weights), np.nan), where=spread > 0)
    return np.asarray(np.clip(correlation, -1, 1))


def _centred_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Rank of each example among the resampled ones, less the mean rank (R, B); equal values share their mean rank."""
    order = np.argsort(values, kind="stable")
    new_value = np.diff(values[order], prepend=-np.inf) > 0
    size = np.add.reduceat(weights[:, order], np.flatnonzero(new_value), axis=1)  # (R, distinct values)
    group = np.empty(len(values), dtype=np.int64)
    group[order] = new_value.cumsum() - 1
    before = size.cumsum(axis=1) - size
    return np.asarray((before + (size + 1) / 2)[:, group] - (weights.sum(axis=1, keepdims=True) + 1) / 2)


def _is_constant(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Whether the values (B,) with a positive weight are all the same, as (R,)."""
    drawn = weights > 0
    highest = np.where(drawn, values, -np.inf).max(axis=1)
    return np.asarray(highest == np.where(drawn, values, np.inf).min(axis=1))


WEIGHTED: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "mae": _mae,  # targets (B, K), predictions (B, K), example weights (R, B) -> (R, K); NaN where undefined
    "rmse": _rmse,
    "r2": _r2,
    "spearman": _spearman,
}


def _mean_of_defined(scores: np.ndarray) -> np.ndarray:
    """The mean over the outputs (R, K) -> (R,) for which a score is defined; NaN where there is none."""
    is_defined = ~np.isnan(scores)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.where(is_defined, scores, 0).sum(axis=1) / is_defined.sum(axis=1)
    return mean


def _pinball(targets: np.ndarray, levels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """The pinball loss of each example, output and quantile (B, K, Q)."""
    error = targets[..., None] - predictions
    return np.asarray(np.maximum(levels * error, (levels - 1) * error))


def _pinball_losses(targets: np.ndarray, levels: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    losses = _pinball(targets, levels, predictions).mean(axis=(0, 1))
    return {f"{level:g}": float(loss) for level, loss in zip(levels, losses, strict=True)}


def _losses_of_seeds(
    targets: np.ndarray, quantiles: Sequence[float] | None, predictions: np.ndarray | None
) -> np.ndarray:
    """The mean pinball loss of each seed and example (S, n)."""
    if quantiles is None or predictions is None:
        raise ConfigError("pinball_loss needs quantiles and quantile_predictions, which are None. Give both.")
    checked = [_check_quantiles(targets, quantiles, each) for each in predictions]
    return np.stack([_pinball(targets, *each).mean(axis=(1, 2)) for each in checked])


def _central_pairs(levels: np.ndarray) -> list[tuple[int, int]]:
    """Indices of the quantiles q < 0.5 and 1 - q, the widest interval first."""
    below = [(low, int(np.abs(levels - (1 - levels[low])).argmin())) for low in np.flatnonzero(levels < 0.5).tolist()]
    return [(low, high) for low, high in below if np.isclose(levels[low] + levels[high], 1)]


def _is_covered(targets: np.ndarray, predictions: np.ndarray, low: int, high: int) -> np.ndarray:
    return np.asarray((predictions[..., low] <= targets) & (targets <= predictions[..., high]))


def _central_intervals(targets: np.ndarray, levels: np.ndarray, predictions: np.ndarray) -> list[CentralInterval]:
    return [
        CentralInterval(
            lower=levels[low],
            upper=levels[high],
            coverage=_is_covered(targets, predictions, low, high).mean(),
            width=(predictions[..., high] - predictions[..., low]).mean(),
        )
        for low, high in _central_pairs(levels)
    ]


def _intervals(
    targets: np.ndarray, predictions: np.ndarray, levels: np.ndarray, quantile_predictions: np.ndarray, resamples: int
) -> dict[str, tuple[float, float]]:
    per_example = {
        f"coverage_{levels[high] - levels[low]:g}": _is_covered(targets, quantile_predictions, low, high).mean(axis=1)
        for low, high in _central_pairs(levels)
    }
    if len(levels):
        per_example["pinball_loss"] = _pinball(targets, levels, quantile_predictions).mean(axis=(1, 2))

    def scores(weights: np.ndarray) -> dict[str, np.ndarray]:
        found = {name: _mean_of_defined(compute(targets, predictions, weights)) for name, compute in WEIGHTED.items()}
        return found | {name: _mean(values[:, None], weights)[:, 0] for name, values in per_example.items()}

    return percentile_intervals(scores, len(targets), resamples=resamples)
