"""Hashed n-grams are those of scikit-learn's TF-IDF, whose columns have another order."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from ostinato.data.chunks import CHUNK_SIZE
from ostinato.evaluation.baselines.ngrams import HashedNgrams

TEXTS = ["a fine warm film", "a dull, dull film", "Warm and fine", "", "film film"]
NEW = ["a warm plot", "nothing known"]
ANALYSES = [
    {"ngram_range": (1, 2), "sublinear_tf": True, "token_pattern": r"\w+"},
    {"analyzer": "char_wb", "ngram_range": (2, 5), "sublinear_tf": True},
    {"analyzer": "char", "ngram_range": (1, 3), "lowercase": False},
]


@pytest.mark.parametrize("analysis", ANALYSES)
@pytest.mark.parametrize("chunk", [1, CHUNK_SIZE])
def test_weights_are_those_of_scikit_learn(analysis, chunk, monkeypatch):
    monkeypatch.setattr("ostinato.data.chunks.CHUNK_SIZE", chunk)
    ours, theirs = HashedNgrams(10_000, **analysis), TfidfVectorizer(**analysis)
    fitted, expected = ours.fit_transform(TEXTS), theirs.fit_transform(TEXTS)
    assert fitted.shape == expected.shape
    assert fitted.dtype == np.float32
    np.testing.assert_allclose((fitted @ fitted.T).toarray(), (expected @ expected.T).toarray(), atol=1e-6)
    found, others = ours.transform(NEW), theirs.transform(NEW)
    np.testing.assert_allclose((found @ fitted.T).toarray(), (others @ expected.T).toarray(), atol=1e-6)


def test_the_ngrams_in_the_most_sequences_stay():
    ours = HashedNgrams(2, ngram_range=(1, 1), token_pattern=r"\w+")
    fitted = ours.fit_transform(["x", "x y y y", "x z", "z"])  # x is in 3, z in 2, y in 1
    assert fitted.shape == (4, 2)
    assert ours.transform(["y"]).nnz == 0
    assert ours.transform(["x z"]).nnz == 2


def test_lists_of_tokens_are_taken_as_they_are():
    ours = HashedNgrams(10, ngram_range=(1, 2), tokenizer=list, token_pattern=None, lowercase=False)
    assert ours.fit_transform([["Log in", "out"], ["out"]]).shape == (2, 3)
