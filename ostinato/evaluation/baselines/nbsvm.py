"""NB-SVM: a linear model of n-grams, each scaled by how much more often one class has it than the others.

Source: Wang & Manning (2012), Baselines and Bigrams, section 2.3. We use the logistic loss, which gives probabilities,
and no interpolation with the mean weight: with this loss, it gains nothing on reviews, peptides and promoters.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ostinato.data.chunks import raw_lengths
from ostinato.evaluation.baselines.features import FEW_CHARACTERS, SHORT_TEXT, Candidates
from ostinato.evaluation.baselines.heads import (
    Examples,
    Head,
    LinearModel,
    class_head,
    class_model,
    fit_each_label,
    label_head,
)
from ostinato.evaluation.baselines.linear import LinearBaseline, refuse_few_classes, refuse_few_labels, search
from ostinato.evaluation.baselines.logistic import Logistic, fit_logistic
from ostinato.evaluation.baselines.ngrams import HashedNgrams
from ostinato.progress import TimeLeft, unlimited

NAME = "NB-SVM, C"
C_GRID = (0.1, 1.0, 10.0)
SMOOTHING = 1.0  # of the counts
MOST_MODELS = 20  # classes or labels, each of which is a model of its own
MOST_SIZE = 40_000_000  # characters or tokens of all training sequences together, up to which this takes a minute


def nbsvm_problem(sequences: Sequence[Any], num_models: int) -> str | None:
    """Why NB-SVM is not fitted to training sequences; None if it is."""
    if num_models > MOST_MODELS:
        return f"{num_models} classes or labels, at most {MOST_MODELS}"
    size = int(raw_lengths(sequences).sum())
    return f"{size:,} characters or tokens, at most {MOST_SIZE:,}" if size > MOST_SIZE else None


def nbsvm_baseline(
    train_sequences: Sequence[Any],
    train_targets: np.ndarray,
    validation_sequences: Sequence[Any] | None,
    validation_targets: np.ndarray | None,
    *,
    kind: str,
    seed: int,
    time_left: TimeLeft = unlimited,
) -> LinearBaseline:
    """Fit NB-SVM to class indices (B,) or to labels (B, L) of 0 and 1.

    Arguments and result are those of `linear_baseline`, for every kind but "numeric".

    Raises:
        DataError: fewer than two classes have two training examples, no label varies among three or more of them, or
            the sequences have no n-grams.
    """
    if train_targets.ndim == 1:
        head = nbsvm_classes(int(np.max(train_targets)) + 1)
        refuse_few_classes(head, train_targets)
    else:
        head = nbsvm_labels(train_targets.shape[1])
        refuse_few_labels(train_targets)
    make = partial(binary_ngrams, train_sequences, kind)
    return search(head, make, train_sequences, train_targets, validation_sequences, validation_targets, seed, time_left)


def binary_ngrams(sequences: Sequence[Any], kind: str, most: int) -> Candidates:
    """Which n-grams a sequence has, as 0 and 1: one set of features for each kind of sequence."""
    options: dict[str, Any] = {"ngram_range": (1, 2), "token_pattern": r"\w+"}
    name = "words (1-2-grams)"
    if kind == "text" and sum(map(len, sequences)) <= min(SHORT_TEXT * len(sequences), FEW_CHARACTERS):
        name, options = "characters within words (2-5-grams)", {"analyzer": "char_wb", "ngram_range": (2, 5)}
    elif kind == "symbols":
        name, options = "characters (1-6-grams)", {"analyzer": "char", "ngram_range": (1, 6), "lowercase": False}
    elif kind == "events":
        name = "tokens (1-2-grams)"
        options = {"ngram_range": (1, 2), "tokenizer": list, "token_pattern": None, "lowercase": False}
    yield name, partial(HashedNgrams, most, is_binary=True, **options)


def nbsvm_classes(num_classes: int) -> Head:
    """One class against the rest; targets are class indices (B,)."""

    def fit(C: float, examples: Examples, start: LinearModel | None) -> LinearModel:
        features, targets, weights, time_left = examples
        present = np.unique(targets)
        fitted = present[-1:] if len(present) == 2 else present  # one model tells two classes apart
        is_class = targets[:, None] == fitted  # (B,) -> (B, C)
        of_each = None if weights is None else np.broadcast_to(weights[:, None], is_class.shape)
        model = _fit_each(C, Examples(features, is_class, of_each, time_left))
        return class_model(num_classes, present, Logistic(model.weights, model.bias))

    return replace(class_head(num_classes), name=NAME, grid=C_GRID, fit=fit)


def nbsvm_labels(num_labels: int) -> Head:
    """One model per label; targets are 0 or 1, (B, L)."""
    return replace(
        label_head(num_labels), name=NAME, grid=C_GRID, fit=lambda C, examples, start: _fit_each(C, examples)
    )


def _fit_each(C: float, examples: Examples) -> LinearModel:
    """Fit a model per label of binary features (B, F), each scaled by its log-ratio."""

    def fit_one(label: int, one: Examples) -> Logistic:
        is_positive = one.targets == 1
        ratio = log_ratio(one.features, is_positive, one.weights)
        scaled = one.features.multiply(ratio).tocsr()
        fitted = fit_logistic(scaled, is_positive.astype(np.int64), 2, one.weights, C, time_left=one.time_left)
        return Logistic(fitted.slopes * ratio[:, None], fitted.intercepts)

    return fit_each_label(examples, fit_one)


def log_ratio(encoded: Any, is_positive: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The log of each feature's share of the rows of a class, over its share of the other rows.

    Shapes: (B, F) of 0 and 1, (B,) -> (F,)
    """
    weights = np.ones(len(is_positive)) if weights is None else weights
    within = SMOOTHING + encoded.T @ (weights * is_positive)
    without = SMOOTHING + encoded.T @ (weights * ~is_positive)
    ratio: np.ndarray = np.log(within / within.sum()) - np.log(without / without.sum())
    return ratio
