"""Prepare the predictions of one configuration for comparison with another on the same rows."""

from collections.abc import Sequence

import numpy as np

from ostinato.evaluation.bootstrap import bootstrap_intervals
from ostinato.evaluation.results import Metric
from ostinato.evaluation.statistics import Scored, score_seeds, seed_interval
from ostinato.tasks.classification.scoring import Predictions
from ostinato.tasks.sequences.predictions import pool_folds


def compared(seeds: Sequence[Sequence[Predictions]], metric: Metric) -> tuple[Scored, list[str], tuple[float, float]]:
    """Score each seed; see `Task.compared`. With one seed, the 95 % interval is a bootstrap over the examples."""
    read = [_pooled(folds) for folds in seeds]
    scored = score_seeds(read[0].targets, np.stack([each.probabilities for each in read]), metric)
    interval = seed_interval(scored.scores, metric)
    if interval is None:
        low, high = bootstrap_intervals(read[0].targets, read[0].probabilities)[metric.name]
        interval = low, high
    return scored, read[0].sources, interval


def _pooled(folds: Sequence[Predictions]) -> Predictions:
    sources, (targets, probabilities) = pool_folds(folds, ("targets", "probabilities"))
    return Predictions(sources, targets, probabilities)
