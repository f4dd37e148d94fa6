"""The predictions of one configuration, ready to be compared with another's on the same rows."""

from collections.abc import Sequence

import numpy as np

from ostinato.evaluation.results import Metric
from ostinato.evaluation.statistics import Scored, score_interval
from ostinato.tasks.regression.metrics import score_regression
from ostinato.tasks.regression.scoring import Predictions
from ostinato.tasks.sequences.predictions import pool_folds


def compared(seeds: Sequence[Sequence[Predictions]], metric: Metric) -> tuple[Scored, list[str], tuple[float, float]]:
    """Scores of each seed, the rows' sources, and a 95 % interval: over seeds, or with one seed over examples."""
    read = [_pooled(folds) for folds in seeds]
    scored = score_regression(
        read[0].targets,
        np.stack([each.predictions for each in read]),
        metric,
        quantiles=read[0].levels or None,
        quantile_predictions=np.stack([each.quantiles for each in read]) if read[0].levels else None,
    )
    return scored, read[0].sources, score_interval(scored)


def _pooled(folds: Sequence[Predictions]) -> Predictions:
    sources, arrays = pool_folds(folds, ("targets", "predictions", "quantiles"))
    targets, predictions, quantiles = arrays
    return Predictions(sources, targets, predictions, folds[0].levels, quantiles)
