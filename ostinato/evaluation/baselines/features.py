"""Features of whole sequences for linear models: n-grams, one-hot positions and summary statistics.

`FEATURES` maps each kind of sequence to a function that yields candidates: a name, and a scikit-learn transformer that
is not fitted yet.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

Candidates = Iterator[tuple[str, Any]]


def _text_features(sequences: Sequence[str]) -> Candidates:
    from sklearn.feature_extraction.text import TfidfVectorizer

    yield (
        "TF-IDF of words (1-2-grams)",
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+", dtype=np.float32),
    )


def _symbol_features(sequences: Sequence[str]) -> Candidates:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

    for longest in (3, 6):
        yield (
            f"TF-IDF of characters (1-{longest}-grams)",
            TfidfVectorizer(analyzer="char", ngram_range=(1, longest), lowercase=False, dtype=np.float32),
        )
    lengths = {len(sequence) for sequence in sequences}
    if len(lengths) == 1:
        split = FunctionTransformer(_symbols_by_position, kw_args={"length": lengths.pop()})
        yield "one-hot positions", make_pipeline(split, OneHotEncoder(handle_unknown="ignore"))


def _symbols_by_position(sequences: Sequence[str], length: int) -> np.ndarray:
    """Symbols as (B, length); longer strings are cut, shorter ones padded with the empty string."""
    return np.array(sequences, dtype=f"U{length}").view("U1").reshape(-1, length)


def _event_features(sequences: Sequence[Sequence[str]]) -> Candidates:
    from sklearn.feature_extraction.text import TfidfVectorizer

    tokens_as_given: dict[str, Any] = {"tokenizer": list, "token_pattern": None, "lowercase": False}
    yield (
        "TF-IDF of tokens (1-2-grams)",
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32, **tokens_as_given),
    )


def _numeric_features(sequences: Sequence[np.ndarray]) -> Candidates:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    yield "summary statistics", make_pipeline(FunctionTransformer(_summarise_all), StandardScaler())


def _summarise_all(sequences: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack([_summarise(np.asarray(series, dtype=np.float64)) for series in sequences])


def _summarise(series: np.ndarray) -> np.ndarray:
    """(T, channels) -> (7 * channels,); all 0 where T is 0."""
    T, channels = series.shape
    if T == 0:
        return np.zeros(7 * channels)
    step = np.abs(np.diff(series, axis=0)).sum(axis=0) / max(T - 1, 1)
    return np.concatenate(
        [series.mean(axis=0), series.std(axis=0), series.min(axis=0), series.max(axis=0), series[0], series[-1], step]
    )


FEATURES: dict[str, Callable[[Sequence[Any]], Candidates]] = {
    "text": _text_features,
    "symbols": _symbol_features,
    "events": _event_features,
    "numeric": _numeric_features,
}
