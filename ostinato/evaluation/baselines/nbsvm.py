"""NB-SVM: a linear model of n-grams, each scaled by how much more often one class has it than the others.

Source: Wang & Manning (2012), Baselines and Bigrams, section 2.3. We use the logistic loss, which gives probabilities,
and no interpolation with the mean weight: with this loss, it gains nothing on reviews, peptides and promoters.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ostinato.evaluation.baselines.features import FEW_CHARACTERS, SHORT_TEXT, Candidates
from ostinato.evaluation.baselines.heads import LOWEST, Head, LinearModel, class_head, label_head
from ostinato.evaluation.baselines.linear import LinearBaseline, search
from ostinato.evaluation.baselines.logistic import fit_logistic
from ostinato.evaluation.baselines.ngrams import HashedNgrams
from ostinato.progress import TimeLeft, unlimited

C_GRID = (0.1, 1.0, 10.0)
SMOOTHING = 1.0  # of the counts
MOST_MODELS = 20  # classes, each of which is a model of its own
MOST_SIZE = 40_000_000  # characters or tokens of all training sequences together, up to which this takes a minute


def nbsvm_problem(sequences: Sequence[Any], num_models: int) -> str | None:
    """Why NB-SVM is not fitted to training sequences; None if it is."""
    if num_models > MOST_MODELS:
        return f"{num_models} classes, at most {MOST_MODELS}"
    size = sum(map(len, sequences))
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
    """Fit NB-SVM to class indices; arguments and result as of `linear_baseline`, for every kind but "numeric".

    Raises:
        DataError: the sequences have no n-grams.
    """
    head = nbsvm_classes(int(np.max(train_targets)) + 1)
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

    def fit(
        C: float,
        encoded: Any,
        targets: np.ndarray,
        weights: np.ndarray | None = None,
        start: LinearModel | None = None,
        time_left: TimeLeft = unlimited,
    ) -> LinearModel:
        from scipy.special import softmax

        present = np.unique(targets)
        slopes, bias = np.zeros((encoded.shape[1], num_classes)), np.full(num_classes, LOWEST)
        for label in present[-1:] if len(present) == 2 else present:
            slopes[:, label], bias[label] = _fit_binary(C, encoded, targets == label, weights, time_left)
        if len(present) == 2:  # one model tells them apart; each class gets half of its logit
            first, second = present
            slopes[:, second], bias[second] = slopes[:, second] / 2, bias[second] / 2
            slopes[:, first], bias[first] = -slopes[:, second], -bias[second]
        return LinearModel(lambda encoded: softmax(encoded @ slopes + bias, axis=1), slopes, bias)

    return _nbsvm(class_head(num_classes), fit)


def nbsvm_labels(num_labels: int) -> Head:
    """One model per label; targets are 0 or 1, (B, L)."""

    def fit(
        C: float,
        encoded: Any,
        targets: np.ndarray,
        weights: np.ndarray | None = None,
        start: LinearModel | None = None,
        time_left: TimeLeft = unlimited,
    ) -> LinearModel:
        from scipy.special import expit

        L = targets.shape[1]
        slopes, bias = np.zeros((encoded.shape[1], L)), np.where(targets[0] == 1, -LOWEST, LOWEST)
        for label in np.flatnonzero((targets != targets[0]).any(axis=0)):
            of_label = None if weights is None else weights[:, label]
            slopes[:, label], bias[label] = _fit_binary(C, encoded, targets[:, label] == 1, of_label, time_left)
        return LinearModel(lambda encoded: expit(encoded @ slopes + bias), slopes, bias)

    return _nbsvm(label_head(num_labels), fit)


def _nbsvm(head: Head, fit: Any) -> Head:
    return Head("NB-SVM, C", C_GRID, fit, head.loss, head.strata, head.can_fold, head.outputs)


def _fit_binary(
    C: float, encoded: Any, is_positive: np.ndarray, weights: np.ndarray | None, time_left: TimeLeft
) -> tuple[np.ndarray, float]:
    """The slopes (F,) and the bias of a model of binary features (B, F) that tells rows of a class from the others."""
    ratio = log_ratio(encoded, is_positive, weights)
    scaled = encoded.multiply(ratio).tocsr()
    fitted = fit_logistic(scaled, is_positive.astype(np.int64), 2, weights, C, time_left=time_left)
    return fitted.slopes[:, 0] * ratio, float(fitted.intercepts[0])


def log_ratio(encoded: Any, is_positive: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The log of each feature's share of the rows of a class, over its share of the other rows.

    Shapes: (B, F) of 0 and 1, (B,) -> (F,)
    """
    weights = np.ones(len(is_positive)) if weights is None else weights
    within = SMOOTHING + encoded.T @ (weights * is_positive)
    without = SMOOTHING + encoded.T @ (weights * ~is_positive)
    ratio: np.ndarray = np.log(within / within.sum()) - np.log(without / without.sum())
    return ratio
