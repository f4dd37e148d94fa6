"""LSA: a linear model of the leading singular vectors of n-grams, which come from labelled and unlabelled sequences.

It is the simplest model that sees the unlabelled sequences too, so a network that learns from them must beat it.
Source: Deerwester et al. (1990), Indexing by latent semantic analysis.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ostinato.evaluation.baselines.features import FEATURES, Candidates
from ostinato.evaluation.baselines.heads import class_head, label_head
from ostinato.evaluation.baselines.linear import (
    LinearBaseline,
    most_features,
    refuse_few_classes,
    refuse_few_labels,
    search,
)
from ostinato.progress import TimeLeft, unlimited

COMPONENTS = 200  # of 100 to 600, those with the lowest cross-validated log-loss on 2,000 labels and 17,401 reviews
MOST_COLUMNS = 2**15  # n-grams that LSA reads: its memory grows with them
MOST_SIZE = 100_000_000  # characters or tokens of all sequences together, up to which this takes three minutes
SECONDS_EACH = 2e-6  # for a character


class Projection(NamedTuple):
    """From sparse n-grams (B, F) to the space of their leading singular vectors.

    Args:
        columns: (f,) the n-grams that are read.
        directions: (K, f)
    """

    columns: np.ndarray
    directions: np.ndarray

    def __call__(self, ngrams: Any) -> np.ndarray:
        """The rows in that space, scaled to length 1. Returns (B, K)."""
        from sklearn.preprocessing import normalize

        scaled: np.ndarray = normalize(ngrams[:, self.columns] @ self.directions.T)
        return scaled


@dataclass(frozen=True)
class Lsa:
    """Fitted features for a linear model.

    Args:
        ngrams_name: which n-grams they are.
        ngrams: the fitted transformer from sequences to n-grams.
        projection: fitted to them.
    """

    ngrams_name: str
    ngrams: Any
    projection: Projection

    @property
    def name(self) -> str:
        return f"LSA of {self.ngrams_name}"

    def transform(self, sequences: Sequence[Any]) -> np.ndarray:
        """Returns (B, K)."""
        return self.projection(self.ngrams.transform(sequences))

    fit_transform = transform  # it is fitted already, to unlabelled sequences too


def lsa_problem(size: int, time_left: TimeLeft) -> str | None:
    """Why LSA is not fitted to sequences of so many characters or tokens together; None if it is."""
    if size > MOST_SIZE:
        return f"{size:,} characters or tokens, at most {MOST_SIZE:,}"
    needed_s = size * SECONDS_EACH
    return f"it needs about {needed_s:.1f} s, more than are left" if needed_s > time_left() else None


def fit_lsa(sequences: Sequence[Any], kind: str, num_outputs: int) -> Lsa:
    """Fit LSA to all sequences, labelled or not.

    Args:
        kind: as of `linear_baseline`, except "numeric".
        num_outputs: classes or labels, which the number of n-grams depends on.
    """
    name, make = [each for each in FEATURES[kind](sequences, most_features(num_outputs)) if is_of_ngrams(each[0])][-1]
    transformer = make()
    return Lsa(name, transformer, fit_projection(transformer.fit_transform(sequences)))


def is_of_ngrams(name: str) -> bool:
    """Whether a set of features consists of n-grams; LSA reads the last such set."""
    return name.startswith("TF-IDF")


def fit_projection(ngrams: Any) -> Projection:
    """Find the leading singular vectors of the most frequent n-grams (B, F)."""
    from sklearn.utils.extmath import randomized_svd
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    found_in = np.bincount(ngrams.indices, minlength=ngrams.shape[1])
    columns = np.sort(np.argsort(-found_in, kind="stable")[:MOST_COLUMNS])
    chosen = ngrams[:, columns]
    components = max(1, min(COMPONENTS, min(chosen.shape) // 2))
    with threadpool_limits(1):
        _, _, directions = randomized_svd(chosen, components, n_iter=2, random_state=0)
    return Projection(columns, directions)


def lsa_baseline(
    train_sequences: Sequence[Any],
    train_targets: np.ndarray,
    validation_sequences: Sequence[Any] | None,
    validation_targets: np.ndarray | None,
    *,
    lsa: Lsa,
    kind: str,
    seed: int,
    time_left: TimeLeft = unlimited,
) -> LinearBaseline:
    """Fit logistic regression on LSA to class indices (B,) or to labels (B, L) of 0 and 1.

    The other arguments, the result and the errors are those of `linear_baseline`.
    """
    if train_targets.ndim == 1:
        head = class_head(int(np.max(train_targets)) + 1)
        refuse_few_classes(head, train_targets)
    else:
        head = label_head(train_targets.shape[1])
        refuse_few_labels(train_targets)
    only = partial(_only, lsa)
    return search(head, only, train_sequences, train_targets, validation_sequences, validation_targets, seed, time_left)


def _only(lsa: Lsa, most: int) -> Candidates:
    yield lsa.name, lambda: lsa
