"""Fit the wide part of a network before its layers are trained."""

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from ostinato.config import Config, TrainingConfig
from ostinato.data.ragged import Ragged
from ostinato.data.sampler import BucketSampler
from ostinato.evaluation.baselines import Crossfitted, Selection
from ostinato.nn import Layout, SequenceNetwork, WideNgrams
from ostinato.nn.wide_kernels import WideKernels
from ostinato.progress import TimeLeft, unlimited
from ostinato.training.objective import Labelled

MOST_NGRAMS = 2**18
MOST_WEIGHTS = 2**22  # n-grams times outputs, so that a model file of many classes stays below 20 MB
KERNEL_FEATURES = 9_996  # as in MiniRocket: 119 for each of 84 kernels
MOST_NUMBERS = 2**25  # features of kernels times series; in float64 they take 256 MiB of memory
MANY_ROWS = 1000  # from here on, an n-gram of a single training sequence is not a feature
STEPS_AT_A_TIME = 2**18


@dataclass
class Fitting:
    """What is known of the wide part of networks with the same settings and data.

    Args:
        known: the linear model; see `Selection`.
        state: of the wide part, once it is fitted.
        bias: (C,) of the linear model.
        offsets: (B, C) see `Labelled`; None: not computed yet, or there are none.
    """

    known: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Tensor] = field(default_factory=dict)
    bias: Tensor | None = None
    offsets: Tensor | None = None


def settings_of(config: Config) -> Hashable:
    """The settings that the fitted wide part depends on: its own, the seed, and those of the task's loss."""
    loss = config.training.model_dump(mode="json", exclude=set(TrainingConfig.model_fields) - {"seed"})
    keys = {key for key in type(config.model).model_fields if key.startswith("wide")}
    wide = config.model.model_dump(mode="json", include=keys)
    return json.dumps([wide, loss], sort_keys=True)


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
    fitting: Fitting | None = None,
    time_left: TimeLeft = unlimited,
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
        fitting: what is known from another network with the same settings, which is not fitted again; is completed.
        time_left: when time is over, the linear model is the best so far.

    Raises:
        OutOfTimeError: there is too little time to predict rows by linear models that did not see them.
    """
    fitting = fitting or Fitting()
    if fitting.bias is None or not (network.is_linear or fitting.offsets is not None):
        _fit(network, splits, objective, size, seed, fitting, time_left)
    if fitting.bias is None:  # no n-gram is a feature
        return splits["train"]
    assert network.wide is not None
    network.wide.prepare_for(fitting.state)
    network.wide.load_state_dict(fitting.state)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.copy_(fitting.bias)
    return splits["train"]._replace(offsets=fitting.offsets)


def _fit(
    network: SequenceNetwork,
    splits: Mapping[str, Labelled],
    objective: LinearObjective,
    size: int | None,
    seed: int,
    fitting: Fitting,
    time_left: TimeLeft,
) -> None:
    """Complete `fitting`."""
    wide, train, outputs = network.wide, splits["train"], network.head.out_features
    assert wide is not None
    selection = Selection(seed, time_left=time_left, known=fitting.known)
    features: Any
    if isinstance(wide, WideKernels):
        most = size or min(KERNEL_FEATURES, MOST_NUMBERS // len(train.lengths))
        features = wide.fit(train.sequences.values, train.lengths, most=most, seed=seed).numpy()
    else:
        validation = splits.get("validation")
        most, fewest = size or min(MOST_NGRAMS, MOST_WEIGHTS // outputs), 2 if len(train.lengths) >= MANY_ROWS else 1
        wide.fit(train.sequences.values, train.lengths, most=most, fewest=fewest)
        if not len(wide.weight):
            return
        features = ngram_features(wide, train.sequences)
        if validation is not None:
            seen = ngram_features(wide, validation.sequences)
            selection = selection._replace(features=seen, targets=validation.targets.numpy())
    model, unseen = objective.fit_linear(network, features, train, selection)
    with torch.no_grad():
        wide.weight.copy_(torch.from_numpy(model.weights))
    fitting.state = {name: tensor.clone() for name, tensor in wide.state_dict().items()}
    fitting.bias = torch.from_numpy(model.bias)
    fitting.offsets = None if unseen is None else torch.from_numpy(unseen - model.bias).float()


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
