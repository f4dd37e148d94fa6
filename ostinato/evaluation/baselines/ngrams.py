"""TF-IDF of n-grams in bounded memory: hashed instead of stored as strings, and only the most frequent ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ostinato.data.chunks import chunks

BUCKETS = 2**22  # of the hash: few of the frequent n-grams share one


class HashedNgrams:
    """A transformer from sequences to TF-IDF weights of n-grams, (B, kept n-grams) sparse float32.

    Args:
        most: keep the n-grams that occur in the most sequences, at most so many.
        sublinear_tf: count an n-gram that occurs `c` times in a sequence as 1 + log(c).
        is_binary: 1 for each n-gram of a sequence in place of its weight.
        analysis: how `sklearn.feature_extraction.text.HashingVectorizer` finds n-grams.
    """

    def __init__(self, most: int, *, sublinear_tf: bool = False, is_binary: bool = False, **analysis: Any) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

        self.most = most
        self._hashed = HashingVectorizer(
            n_features=BUCKETS, norm=None, alternate_sign=False, dtype=np.float32, binary=is_binary, **analysis
        )
        self._weights = TfidfTransformer(
            sublinear_tf=sublinear_tf, use_idf=not is_binary, norm=None if is_binary else "l2"
        )
        self._kept = np.empty(0, np.int64)

    def fit_transform(self, sequences: Sequence[Any]) -> Any:
        """Choose the n-grams and learn their weights from the training split.

        Raises:
            ValueError: there is not a single n-gram.
        """
        counts = self._count(sequences)
        found_in = np.bincount(counts.indices, minlength=BUCKETS)
        frequent = np.argsort(-found_in, kind="stable")[: self.most]
        self._kept = np.sort(frequent[found_in[frequent] > 0])
        if not len(self._kept):
            raise ValueError("empty vocabulary")
        return self._weights.fit_transform(counts[:, self._kept])

    def transform(self, sequences: Sequence[Any]) -> Any:
        """The weights of the chosen n-grams in other sequences."""
        return self._weights.transform(self._count(sequences)[:, self._kept])

    def _count(self, sequences: Sequence[Any]) -> Any:
        from scipy.sparse import vstack

        return vstack([self._hashed.transform(chunk) for _, chunk in chunks(sequences)], format="csr")
