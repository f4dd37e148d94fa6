"""The predictions of one configuration, ready to be compared with another's on the same rows."""

from collections.abc import Sequence

import numpy as np

from ostinato.evaluation.results import Metric
from ostinato.evaluation.statistics import Scored, seed_interval
from ostinato.tasks.regression.metrics import score_regression
from ostinato.tasks.regression.scoring import Predictions

LEVEL = 0.95


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
    interval = seed_interval(scored.scores, metric)
    if interval is None:
        assert scored.resampled is not None
        low, high = np.nanquantile(scored.resampled[:, 0], [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
        interval = low, high
    return scored, read[0].sources, interval


def _pooled(folds: Sequence[Predictions]) -> Predictions:
    """The answers to all folds, in an order that does not depend on the folds'."""
    sources = [source for fold in folds for source in fold.sources]
    order = sorted(range(len(sources)), key=sources.__getitem__)
    targets, predictions, quantiles = (
        np.concatenate([getattr(fold, name) for fold in folds])[order]
        for name in ("targets", "predictions", "quantiles")
    )
    return Predictions([sources[row] for row in order], targets, predictions, folds[0].levels, quantiles)
