"""The predictions of one configuration, ready to be compared with another's on the same rows."""

from collections.abc import Sequence

import numpy as np

from ostinato.evaluation.results import Metric
from ostinato.evaluation.statistics import Scored, score_interval
from ostinato.tasks.multilabel.metrics import score_multilabel
from ostinato.tasks.multilabel.scoring import Predictions
from ostinato.tasks.sequences.predictions import pool_folds


def compared(seeds: Sequence[Sequence[Predictions]], metric: Metric) -> tuple[Scored, list[str], tuple[float, float]]:
    """Scores of each seed, the rows' sources, and a 95 % interval: over seeds, or with one seed over rows."""
    read = [_pooled(folds) for folds in seeds]
    scored = score_multilabel(
        read[0].targets,
        np.stack([each.probabilities for each in read]),
        np.stack([each.thresholds for each in read]),
        metric,
    )
    return scored, read[0].sources, score_interval(scored)


def _pooled(folds: Sequence[Predictions]) -> Predictions:
    """The predictions of all folds; each row has its fold's thresholds."""
    sources, (targets, probabilities, thresholds) = pool_folds(
        [fold._replace(thresholds=np.broadcast_to(fold.thresholds, fold.targets.shape)) for fold in folds],
        ("targets", "probabilities", "thresholds"),
    )
    return Predictions(sources, targets, probabilities, thresholds)
