"""Features of whole sequences for linear models: n-grams, one-hot positions and summary statistics.

`FEATURES` maps each kind of sequence to a function that yields candidates: a name, and a function that makes a
transformer which is not fitted yet.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ostinato.data.chunks import raw_lengths
from ostinato.evaluation.baselines.ngrams import HashedNgrams

Candidates = Iterator[tuple[str, Callable[[], Any]]]

SHORT_TEXT = 300  # characters on average up to which parts of words are features too
FEW_CHARACTERS = 5_000_000  # of all texts together, up to which this takes seconds


def _text_features(sequences: Sequence[str], most: int) -> Candidates:
    yield (
        "TF-IDF of words (1-2-grams)",
        partial(HashedNgrams, most, ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+"),
    )
    characters = int(raw_lengths(sequences).sum())
    if characters <= min(SHORT_TEXT * len(sequences), FEW_CHARACTERS):
        yield (
            "TF-IDF of characters within words (2-5-grams)",
            partial(HashedNgrams, most, analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
        )


def _symbol_features(sequences: Sequence[str], most: int) -> Candidates:
    for longest in (3, 6):
        yield (
            f"TF-IDF of characters (1-{longest}-grams)",
            partial(HashedNgrams, most, analyzer="char", ngram_range=(1, longest), lowercase=False),
        )
    lengths = np.unique(raw_lengths(sequences))
    if len(lengths) == 1:
        yield "one-hot positions", partial(_one_hot, int(lengths[0]))


def _one_hot(length: int) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

    split = FunctionTransformer(_symbols_by_position, kw_args={"length": length})
    return make_pipeline(split, OneHotEncoder(handle_unknown="ignore"))


def _symbols_by_position(sequences: Sequence[str], length: int) -> np.ndarray:
    """Symbols as (B, length); longer strings are cut, shorter ones padded with the empty string."""
    return np.array(sequences, dtype=f"U{length}").view("U1").reshape(-1, length)


def _event_features(sequences: Sequence[Sequence[str]], most: int) -> Candidates:
    as_given: dict[str, Any] = {"tokenizer": list, "token_pattern": None, "lowercase": False}
    yield (
        "TF-IDF of tokens (1-2-grams)",
        partial(HashedNgrams, most, ngram_range=(1, 2), sublinear_tf=True, **as_given),
    )


def _numeric_features(sequences: Sequence[np.ndarray], most: int) -> Candidates:
    yield "summary statistics", _statistics


def _statistics() -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    return make_pipeline(FunctionTransformer(_summarise_all), StandardScaler())


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


FEATURES: dict[str, Callable[[Sequence[Any], int], Candidates]] = {
    "text": _text_features,
    "symbols": _symbol_features,
    "events": _event_features,
    "numeric": _numeric_features,
}
