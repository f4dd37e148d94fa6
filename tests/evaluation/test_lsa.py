import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from ostinato.errors import DataError
from ostinato.evaluation.baselines.lsa import MOST_SIZE, SECONDS_EACH, fit_lsa, lsa_baseline, lsa_problem
from ostinato.evaluation.baselines.teacher import teach
from ostinato.progress import unlimited

STOPS = ["the", "a", "of", "it"]
TOPICS = {0: [f"dull{n}" for n in range(30)], 1: [f"fine{n}" for n in range(30)]}


def texts(n, seed):
    """Long texts with four of the 30 words of their class: two texts share few of them."""
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % 2
    rows = [" ".join([*rng.choice(TOPICS[t], 4), *rng.choice(STOPS, 4), "x" * 300]) for t in targets]
    return rows, targets


def tfidf(rows):
    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+").fit_transform(rows)


def test_where_directions_suffice_the_angles_between_rows_remain():
    rows = texts(20, 0)[0] * 3  # 60 rows, at most 20 directions
    found, ngrams = fit_lsa(rows, "text", 2).transform(rows), tfidf(rows).toarray()
    assert found.shape == (60, 30)
    assert found @ found.T == pytest.approx(ngrams @ ngrams.T, abs=1e-5)


def test_directions_hold_almost_as_much_as_the_best_ones():
    rows, ngrams = texts(60, 0)[0], tfidf(texts(60, 0)[0])
    lsa = fit_lsa(rows, "text", 2)
    directions = lsa.projection.directions
    assert directions @ directions.T == pytest.approx(np.eye(30), abs=1e-5)
    held = np.linalg.norm(lsa.ngrams.transform(rows)[:, lsa.projection.columns] @ directions.T) ** 2
    best = (np.linalg.svd(ngrams.toarray(), compute_uv=False)[:30] ** 2).sum()
    assert 0.97 * best < held <= best * (1 + 1e-6)


def test_unlabelled_rows_teach_which_words_go_together():
    (X, y), (U, _), (test, truth) = texts(10, 0), texts(400, 1), texts(200, 2)

    def accuracy(rows):
        fitted = lsa_baseline(X, y, None, None, lsa=fit_lsa(rows, "text", 2), kind="text", seed=0)
        return (fitted.predict(test).argmax(axis=1) == truth).mean()

    assert accuracy([*X, *U]) > accuracy(X) + 0.1


def test_each_label_has_its_own_probability():
    rng = np.random.default_rng(0)
    flags = rng.integers(0, 2, (80, 2))
    rows = [["a" if a else "b", "c" if c else "d", *rng.choice(["x", "y"], 3)] for a, c in flags]
    fitted = lsa_baseline(
        rows[:50], flags[:50], rows[50:65], flags[50:65], lsa=fit_lsa(rows, "events", 2), kind="events", seed=0
    )
    assert ((fitted.predict(rows[65:]) >= 0.5) == (flags[65:] == 1)).all()
    assert fitted.description.startswith("LSA of TF-IDF of tokens (1-2-grams), logistic regression per label, C=")


def test_a_teacher_fits_the_same_features():
    (X, y), (U, _) = texts(20, 0), texts(40, 1)
    shared = teach(X, y, U, kind="text", num_outputs=2, seed=5).lsa
    assert np.array_equal(shared.transform(X), fit_lsa([*X, *U], "text", 2).transform(X))


def test_too_much_text_or_too_little_time_leaves_it_out():
    assert lsa_problem(MOST_SIZE, unlimited) is None
    assert f"{MOST_SIZE + 1:,}" in lsa_problem(MOST_SIZE + 1, unlimited)
    assert lsa_problem(1_000_000, lambda: 1_000_000 * SECONDS_EACH) is None
    assert "2.0 s" in lsa_problem(1_000_000, lambda: 1.9)


def test_one_class_is_refused():
    rows, _ = texts(10, 0)
    with pytest.raises(DataError, match=r"\[10\]"):
        lsa_baseline(rows, np.zeros(10, int), None, None, lsa=fit_lsa(rows, "text", 2), kind="text", seed=0)
