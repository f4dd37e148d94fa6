import numpy as np
import pytest
from sklearn.metrics import f1_score

from ostinato.errors import RunError
from ostinato.tasks.multilabel.comparing import compared
from ostinato.tasks.multilabel.metrics import MULTILABEL_METRICS
from ostinato.tasks.multilabel.scoring import Predictions, read_predictions
from ostinato.tasks.sequences.predictions import write_columns


def draw_fold(seed, threshold, first):
    rng = np.random.default_rng(seed)
    targets = (rng.random((30, 2)) < 0.4).astype(int)
    probabilities = np.clip(0.5 * targets + 0.5 * rng.random((30, 2)), 0, 1)
    sources = [f"f.csv, row {first + row:03}" for row in range(30)]
    return Predictions(sources, targets, probabilities, np.full(2, threshold))


@pytest.mark.parametrize("name", ["micro_f1", "macro_f1", "subset_accuracy"])
def test_folds_are_pooled_each_at_its_own_thresholds(name):
    folds = [draw_fold(0, 0.3, 100), draw_fold(1, 0.7, 0)]
    scored, sources, (low, high) = compared([folds], MULTILABEL_METRICS[name])
    true = np.concatenate([folds[1].targets, folds[0].targets])
    found = np.concatenate([folds[1].probabilities >= 0.7, folds[0].probabilities >= 0.3]).astype(int)
    if name == "subset_accuracy":
        expected = (true == found).all(axis=1).mean()
    else:
        expected = f1_score(true, found, average=name.removesuffix("_f1"))
    assert scored.scores == pytest.approx([expected])
    assert sources == sorted(sources)
    assert low < expected < high


def test_altered_predictions_are_refused(tmp_path):
    path = tmp_path / "predictions.parquet"
    write_columns(path, ["row 1"], {"labels": [["new"]], "predicted": [[]], "probability_a": [0.5]})
    with pytest.raises(RunError, match=r"predictions\.parquet"):
        read_predictions(path, {"a": {"threshold": 0.5}})
