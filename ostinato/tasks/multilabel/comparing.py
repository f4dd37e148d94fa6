"""The predictions of one configuration, ready to be compared with another's on the same rows."""

from collections.abc import Sequence

import numpy as np

from ostinato.evaluation.bootstrap import LEVEL, wilson_interval
from ostinato.evaluation.results import Metric
from ostinato.evaluation.statistics import Scored, seed_interval
from ostinato.tasks.multilabel.metrics import score_multilabel
from ostinato.tasks.multilabel.scoring import Predictions


def compared(seeds: Sequence[Sequence[Predictions]], metric: Metric) -> tuple[Scored, list[str], tuple[float, float]]:
    """Scores of each seed, the rows' sources, and a 95 % interval: over seeds, or with one seed over rows."""
    read = [_pooled(folds) for folds in seeds]
    scored = score_multilabel(
        read[0].targets,
        np.stack([each.probabilities for each in read]),
        np.stack([each.thresholds for each in read]),
        metric,
    )
    return scored, read[0].sources, seed_interval(scored.scores, metric) or _row_interval(scored)


def _row_interval(scored: Scored) -> tuple[float, float]:
    """The bootstrap interval over rows of a single seed's metric; Wilson's interval of a share of right rows."""
    if scored.resampled is None:
        assert scored.right is not None
        return wilson_interval(int(scored.right.sum()), scored.n)
    low, high = np.nanquantile(scored.resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return low, high


def _pooled(folds: Sequence[Predictions]) -> Predictions:
    """The answers to all folds, in an order that does not depend on the folds'; each row has its fold's thresholds."""
    sources = [source for fold in folds for source in fold.sources]
    order = sorted(range(len(sources)), key=sources.__getitem__)
    targets, probabilities = (
        np.concatenate([getattr(fold, name) for fold in folds])[order] for name in ("targets", "probabilities")
    )
    thresholds = np.concatenate([np.broadcast_to(fold.thresholds, fold.targets.shape) for fold in folds])[order]
    return Predictions([sources[row] for row in order], targets, probabilities, thresholds)
