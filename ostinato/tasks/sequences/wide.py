"""Fit the wide part of a network before its layers are trained."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import scipy.sparse
import torch

from ostinato.data.ragged import Ragged
from ostinato.data.sampler import BucketSampler
from ostinato.evaluation.baselines import Crossfitted, Selection
from ostinato.nn import Layout, SequenceNetwork, WideNgrams
from ostinato.nn.wide_kernels import WideKernels
from ostinato.training.objective import Labelled

MOST_NGRAMS = 2**18
MOST_WEIGHTS = 2**22  # n-grams times outputs, so that a model file of many classes stays below 20 MB
KERNEL_FEATURES = 9_996  # as in MiniRocket: 119 for each of 84 kernels
MOST_NUMBERS = 2**25  # features of kernels times series; in float64 they take 256 MiB of memory
MANY_ROWS = 1000  # from here on, an n-gram of a single training sequence is not a feature
STEPS_AT_A_TIME = 2**18


class LinearObjective(Protocol):
    """An objective whose linear model can be fitted at once."""

    def fit_linear(self, model: Any, features: Any, data: Labelled, selection: Selection) -> Crossfitted:
        """Fit a linear model of features (B, F), with outputs as those of `model`."""


def fit_wide(
    network: SequenceNetwork,
    splits: Mapping[str, Labelled],
    objective: LinearObjective,
    *,
    size: int | None,
    seed: int,
) -> Labelled:
    """Fit the linear model to the training split alone, so that the network's first outputs are those of this model.

    The output layer starts with the intercept, and with weights of 0 for the pooled vector. The layers are then trained
    to correct what linear models say of rows that they did not see: on the rows that it was fitted to, the model itself
    leaves nothing to correct.

    Returns:
        The training split, with these outputs as `offsets`.

    Args:
        size: features, at most; None: by the number of outputs.
        seed: draws the folds of a cross-validation, where there is no validation split.
    """
    wide, train, outputs = network.wide, splits["train"], network.head.out_features
    assert wide is not None
    selection = Selection(seed)
    features: Any
    if isinstance(wide, WideKernels):
        most = size or min(KERNEL_FEATURES, MOST_NUMBERS // len(train.lengths))
        features = wide.fit(train.sequences.values, train.lengths, most=most, seed=seed).numpy()
    else:
        validation = splits.get("validation")
        most, fewest = size or min(MOST_NGRAMS, MOST_WEIGHTS // outputs), 2 if len(train.lengths) >= MANY_ROWS else 1
        wide.fit(train.sequences.values, train.lengths, most=most, fewest=fewest)
        if not len(wide.weight):
            return train
        features = ngram_features(wide, train.sequences)
        if validation is not None:
            selection = Selection(seed, ngram_features(wide, validation.sequences), validation.targets.numpy())
    model, unseen = objective.fit_linear(network, features, train, selection)
    with torch.no_grad():
        wide.weight.copy_(torch.from_numpy(model.weights))
        network.head.weight.zero_()
        network.head.bias.copy_(torch.from_numpy(model.bias))
    if unseen is None:
        return train
    return train._replace(offsets=torch.from_numpy(unseen - model.bias).float())


@torch.no_grad()
def ngram_features(wide: WideNgrams, sequences: Ragged) -> scipy.sparse.csr_matrix:
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
    return scipy.sparse.csr_matrix(found, shape=(len(sequences), len(wide.weight)))
