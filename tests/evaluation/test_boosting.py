import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier

from ostinato.evaluation.baselines import kernels
from ostinato.evaluation.baselines.boosting import boosting_baseline, boosting_problem, suits_boosting
from ostinato.evaluation.baselines.kernels import kernel_baseline, kernel_problem


def windows(n, seed, length=8):
    return ["".join(row) for row in np.random.default_rng(seed).choice(list("ACGT"), size=(n, length))]


def test_trees_read_positions_that_must_agree():
    train, test = windows(600, 0), windows(300, 1)
    of = lambda rows: np.array([int(row[2] == row[5]) for row in rows])  # noqa: E731
    model = boosting_baseline(train, of(train), seed=0)
    assert (model.predict(test).argmax(axis=1) == of(test)).mean() > 0.95


def test_features_are_positions_and_counts_of_kmers():
    model = boosting_baseline(["ACA", "CCA", "ACC", "CAC"] * 10, np.array([0, 1, 0, 1] * 10), seed=0)
    (row,) = model.features(["ACA"])
    names = ["A", "C", "AC", "CA", "CC", "ACA", "ACC", "CAC", "CCA"]  # by length, then as they sort
    vocabulary = model.features.args[1].vocabulary_
    counts = {"".join(kmer): row[3 + column] for kmer, column in vocabulary.items()}
    assert counts == {name: "ACA".count(name) for name in names}
    assert row[:3].tolist() == [0, 1, 0]


def test_events_and_strings_give_the_same_trees():
    rows, targets = windows(80, 0), np.arange(80) % 2
    as_lists = boosting_baseline([list(row) for row in rows], targets, seed=0)
    assert (as_lists.predict([list(rows[0])]) == boosting_baseline(rows, targets, seed=0).predict(rows[:1])).all()


def test_new_symbols_and_other_lengths_are_answered():
    model = boosting_baseline(windows(80, 0), np.arange(80) % 2, seed=0)
    assert model.predict(["NNNNNNNN", "ACG", "ACGTACGTACGT"]).sum(axis=1) == pytest.approx(1)


def test_class_without_training_rows_has_probability_zero():
    model = boosting_baseline(windows(80, 0), np.arange(80) % 2 * 2, seed=0)
    assert model.predict(windows(3, 1)).shape == (3, 3)
    assert (model.predict(windows(3, 1))[:, 1] == 0).all()


def test_trees_are_those_of_scikit_learn():
    rows, targets = windows(120, 0), np.arange(120) % 2
    model = boosting_baseline(rows, targets, seed=3)
    features = model.features(rows)
    own = HistGradientBoostingClassifier(categorical_features=list(range(8)), early_stopping=False, random_state=3).fit(
        features, targets
    )
    assert model.predict(rows) == pytest.approx(own.predict_proba(features))


def test_only_short_aligned_windows_suit():
    assert suits_boosting(["ACG", "TTT"], "symbols") and suits_boosting([["a", "b"]], "events")
    assert not suits_boosting(["ACG", "TT"], "symbols")
    assert not suits_boosting(["A" * 101], "symbols")
    assert not suits_boosting(["abc"], "text")
    assert boosting_problem(100, 2) is None
    assert "39 training rows" in boosting_problem(39, 2) and "11 classes" in boosting_problem(100, 11)


def test_kernels_tell_slow_waves_from_quick_ones():
    rng, time = np.random.default_rng(0), np.arange(40)
    targets = np.arange(60) % 2
    waves = [np.sin(time * (0.4 + 0.4 * target) + rng.random() * 6) for target in targets]
    values, lengths = torch.tensor(np.concatenate(waves)[:, None]).float(), torch.full((60,), 40)
    model = kernel_baseline(values[:1600], lengths[:40], targets[:40], num_classes=2, seed=0)
    assert (model.predict(values[1600:], lengths[40:]).argmax(axis=1) == targets[40:]).mean() > 0.9


def test_many_series_are_refused(monkeypatch):
    values, lengths = torch.zeros(6, 1), torch.tensor([3, 3])
    assert kernel_problem(values, lengths) is None
    monkeypatch.setattr(kernels, "MOST_VALUES", 5)
    assert "6 values" in kernel_problem(values, lengths)
    monkeypatch.setattr(kernels, "MOST_ROWS", 1)
    assert "2 training rows" in kernel_problem(values, lengths)
