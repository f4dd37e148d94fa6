"""Fit the wide part of a network before its layers are trained."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import scipy.sparse
import torch

from ostinato.data.ragged import Ragged
from ostinato.data.sampler import BucketSampler
from ostinato.evaluation.baselines import Selection
from ostinato.nn import Layout, SequenceNetwork, WideNgrams
from ostinato.training.objective import Labelled

MOST_FEATURES = 2**18
MOST_WEIGHTS = 2**22  # features times outputs, so that a model file of many classes stays below 20 MB
MANY_ROWS = 1000  # from here on, an n-gram of a single training sequence is not a feature
STEPS_AT_A_TIME = 2**18


class LinearObjective(Protocol):
    """An objective whose linear model can be fitted at once."""

    def fit_linear(
        self, model: Any, features: Any, data: Labelled, selection: Selection
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fit a linear model of features (B, F) with the outputs of `model`. Returns weights (F, C) and bias (C,)."""


def fit_wide(
    network: SequenceNetwork,
    splits: Mapping[str, Labelled],
    objective: LinearObjective,
    *,
    size: int | None,
    seed: int,
) -> None:
    """Fit the linear model to the training split alone, so that the network's first outputs are those of this model.

    The output layer starts with the intercept, and with weights of 0 for the pooled vector.

    Args:
        size: features, at most; None: by the number of outputs.
        seed: draws the folds of a cross-validation, where there is no validation split.
    """
    wide, train, validation = network.wide, splits["train"], splits.get("validation")
    assert wide is not None
    most = size or min(MOST_FEATURES, MOST_WEIGHTS // network.head.out_features)
    fewest = 2 if len(train.lengths) >= MANY_ROWS else 1
    wide.fit(train.sequences.values, train.lengths, most=most, fewest=fewest)
    if not len(wide.keys):
        return
    selection = Selection(seed)
    if validation is not None:
        selection = Selection(seed, features_of(wide, validation.sequences), validation.targets.numpy())
    weights, bias = objective.fit_linear(network, features_of(wide, train.sequences), train, selection)
    with torch.no_grad():
        wide.weight.copy_(torch.from_numpy(weights))
        network.head.weight.zero_()
        network.head.bias.copy_(torch.from_numpy(bias))


@torch.no_grad()
def features_of(wide: WideNgrams, sequences: Ragged) -> scipy.sparse.csr_matrix:
    """The features of sequences, in order. Returns (B, F)."""
    rows, columns, values = [], [], []
    sampler = BucketSampler(sequences.lengths, batch_size=1, max_tokens=STEPS_AT_A_TIME, shuffle=False)
    for indices in sampler.batches(0):
        batch = sequences.select(indices)
        entries = wide.entries(batch.values, Layout(batch.lengths))
        rows.append(indices[entries.rows].numpy())
        columns.append(entries.columns.numpy())
        values.append(entries.values.numpy())
    found = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return scipy.sparse.csr_matrix(found, shape=(len(sequences), len(wide.keys)))
