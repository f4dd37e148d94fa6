import numpy as np
import pytest

from ostinato.errors import DataError
from ostinato.evaluation.baselines.teacher import teach

WORDS = {0: ["dull", "slow", "weak"], 1: ["fine", "warm", "bright"]}


def texts(n, seed, purity=0.8):
    """Texts of eight words, of which a share tells the class."""
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % 2
    return [
        " ".join(rng.choice(WORDS[t if rng.random() < purity else 1 - t]) for _ in range(8)) for t in targets
    ], targets


def test_soft_labels_are_right_and_calibrated():
    (X, y), (U, truth) = texts(60, 0), texts(400, 1)
    soft, *_ = teach(X, y, U, kind="text", num_outputs=2, seed=0)
    assert soft.shape == (400, 2) and soft.dtype == np.float32
    assert soft.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (soft.argmax(axis=1) == truth).mean() > 0.9
    confidence, right = soft.max(axis=1), soft.argmax(axis=1) == truth
    assert abs(confidence.mean() - right.mean()) < 0.06


def test_members_together_are_no_worse_than_the_best_alone():
    X, y = texts(60, 0, 0.65)
    _, teacher, _ = teach(X, y, texts(100, 1)[0], kind="text", num_outputs=2, seed=0)
    assert teacher.members and set(teacher.members) <= set(teacher.losses)
    assert teacher.loss <= min(teacher.losses.values()) + 1e-12
    assert {name.split(" of ")[0] for name in teacher.losses} == {"TF-IDF", "NB-SVM", "LSA"}


def test_hidden_labels_cannot_matter_and_the_same_seed_gives_the_same_labels():
    (X, y), (U, _) = texts(40, 0), texts(60, 1)
    first, again = (teach(X, y, U, kind="text", num_outputs=2, seed=3)[0] for _ in range(2))
    assert (first == again).all()
    turned = teach(X, y, U[::-1], kind="text", num_outputs=2, seed=3)[0][::-1]
    assert turned == pytest.approx(first, abs=0.02)  # a random start of the decomposition


def test_each_label_has_its_own_probability():
    rng = np.random.default_rng(0)
    flags = rng.integers(0, 2, (80, 2))
    rows = [["a" if a else "b", "c" if c else "d", *rng.choice(["x", "y"], 3)] for a, c in flags]
    soft, *_ = teach(rows[:50], flags[:50], rows[50:], kind="events", num_outputs=2, seed=0)
    assert ((soft >= 0.5) == (flags[50:] == 1)).all()


def test_three_classes_of_symbols():
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    rows = ["".join(rng.choice(list("ACGT"), 6)) + "AGC"[target] * 3 for target in y]
    soft, *_ = teach(rows[:60], y[:60], rows[60:], kind="symbols", num_outputs=3, seed=0)
    assert (soft.argmax(axis=1) == y[60:]).mean() > 0.9


def test_weighted_rows_count_more():
    X, y = ["good film", "good film"] * 10, np.array([0, 1] * 10)
    soft, *_ = teach(X, y, ["good film"], kind="text", num_outputs=2, seed=0, weights=np.array([1.0, 4.0] * 10))
    assert soft[0, 1] > soft[0, 0]


def test_too_few_labelled_rows_are_refused():
    with pytest.raises(DataError, match="2 labelled rows"):
        teach(["a b", "c d"], np.array([0, 1]), ["a", "b"], kind="text", num_outputs=2, seed=0)
