"""Gradient boosting on the positions and the k-mers of short aligned windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ostinato.data.chunks import raw_lengths

LONGEST = 100  # positions
FEWEST_ROWS = 40  # below, its trees have a handful of rows in each leaf
MOST_ROWS = 20_000
MOST_CLASSES = 10
MOST_SYMBOLS = 32  # categories at a position; the rarest symbols share one
MOST_KMERS = 128
K = (1, 3)  # the shortest and the longest k-mers


@dataclass(frozen=True)
class BoostingBaseline:
    """Features and trees, both fitted on the training split."""

    description: str
    features: Any
    model: Any
    num_classes: int

    def predict(self, sequences: Sequence[Any]) -> np.ndarray:
        """Probabilities (B, C); 0 for a class without training examples."""
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

        probabilities = np.zeros((len(sequences), self.num_classes))
        with threadpool_limits(1):
            probabilities[:, self.model.classes_] = self.model.predict_proba(self.features(sequences))
        return probabilities


def suits_boosting(sequences: Sequence[Any], kind: str) -> bool:
    """Whether training sequences are aligned windows: symbols or events of one length, at most 100."""
    return kind in ("symbols", "events") and len(np.unique(raw_lengths(sequences))) == 1 <= len(sequences[0]) <= LONGEST


def boosting_problem(rows: int, num_classes: int) -> str | None:
    """Why gradient boosting is not fitted to aligned windows; None if it is."""
    if not FEWEST_ROWS <= rows <= MOST_ROWS:
        return f"{rows:,} training rows, expected {FEWEST_ROWS} to {MOST_ROWS:,}"
    return f"{num_classes} classes, at most {MOST_CLASSES}" if num_classes > MOST_CLASSES else None


def boosting_baseline(sequences: Sequence[Any], targets: np.ndarray, *, seed: int) -> BoostingBaseline:
    """Fit histogram gradient boosting to aligned windows, with scikit-learn's settings.

    Its features are the symbol at each position, as a category, and the counts of the 128 commonest 1- to 3-mers.

    Args:
        sequences: strings or lists of tokens of one length.
        targets: (B,) class indices.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.preprocessing import OrdinalEncoder
    from threadpoolctl import threadpool_limits

    positions = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=MOST_SYMBOLS, dtype=np.float64
    )
    kmers = CountVectorizer(analyzer=_kmers, max_features=MOST_KMERS)
    length = len(sequences[0])
    positions.fit(_symbols(sequences, length))
    kmers.fit(sequences)
    features = partial(_features, positions, kmers, length)
    encoded = features(sequences)
    is_position = np.arange(encoded.shape[1]) < length
    model = HistGradientBoostingClassifier(categorical_features=is_position, early_stopping=False, random_state=seed)
    with threadpool_limits(1):
        model.fit(encoded, targets)
    description = f"gradient boosting on {length} positions and k-mers ({K[0]}-{K[1]}), {model.n_iter_} rounds"
    return BoostingBaseline(description, features, model, int(np.max(targets)) + 1)


def _features(positions: Any, kmers: Any, length: int, sequences: Sequence[Any]) -> np.ndarray:
    """(B, length + k-mers) float64; a symbol that is not in train is NaN."""
    counts = kmers.transform(sequences).toarray()
    return np.concatenate([positions.transform(_symbols(sequences, length)), counts], axis=1)


def _symbols(sequences: Sequence[Any], length: int) -> np.ndarray:
    """(B, length); longer sequences are cut, shorter ones padded with empty symbols."""
    return np.array([[*sequence[:length], *[""] * (length - len(sequence))] for sequence in sequences], dtype=object)


def _kmers(sequence: Any) -> list[tuple[Any, ...]]:
    return [tuple(sequence[i : i + k]) for k in range(K[0], K[1] + 1) for i in range(len(sequence) - k + 1)]
