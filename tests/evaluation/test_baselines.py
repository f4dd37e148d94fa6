import re

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from ostinato.errors import ConfigError, DataError
from ostinato.evaluation.baselines import linear_baseline, majority_baseline

GOOD, BAD = "a fine warm film", "a dull cold film"


def random_strings(n: int, length: int, seed: int, alphabet: str = "ACGT") -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(row) for row in rng.choice(list(alphabet), size=(n, length))]


def test_majority_predicts_the_training_shares():
    assert majority_baseline(np.array([0, 1, 1, 1]), np.array([0, 0]), 3).tolist() == [[0.25, 0.75, 0.0]] * 2


def test_text_model_is_the_scikit_learn_one_it_describes():
    rng = np.random.default_rng(0)
    words = np.array(["good", "bad", "film", "plot", "not", "very"])
    texts = [" ".join(rng.choice(words, size=6)) for _ in range(120)]
    targets = np.array([int("not bad" in text or "good" in text) for text in texts])
    model = linear_baseline(texts[:80], targets[:80], texts[80:], targets[80:], kind="text", seed=0)
    C = float(re.fullmatch(r"TF-IDF of words \(1-2-grams\), logistic regression, C=([\d.]+)", model.description)[1])
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    expected = LogisticRegression(C=C, tol=1e-8, max_iter=5000).fit(features.fit_transform(texts[:80]), targets[:80])
    # ours is float32 and stops sooner
    assert model.predict_proba(texts[80:]) == pytest.approx(
        expected.predict_proba(features.transform(texts[80:])), abs=0.03
    )


def test_validation_log_loss_picks_the_strength():
    targets = np.tile([0, 1], 20)
    texts = [(GOOD, BAD)[target] for target in targets]
    confident = linear_baseline(texts, targets, texts, targets, kind="text", seed=0)
    doubtful = linear_baseline(texts, targets, texts, targets[::-1], kind="text", seed=0)
    assert confident.description.endswith("C=100")
    assert doubtful.description.endswith("C=0.1")


def test_words_are_read_in_lower_case_and_unknown_ones_ignored():
    targets = np.tile([0, 1], 10)
    model = linear_baseline([(GOOD, BAD)[target] for target in targets], targets, None, None, kind="text", seed=0)
    lower, upper, longer = model.predict_proba([GOOD, GOOD.upper(), GOOD + " zebra"])
    assert lower.tolist() == upper.tolist() == longer.tolist()
    assert lower.argmax() == 0


def test_a_symbol_at_a_position_is_found_by_one_hot():
    strings = random_strings(600, 12, seed=0)
    targets = np.array([int(string[7] in "AG") for string in strings])
    model = linear_baseline(strings[:400], targets[:400], strings[400:500], targets[400:500], kind="symbols", seed=0)
    assert model.description.startswith("one-hot positions")
    assert (model.predict_proba(strings[500:]).argmax(axis=1) == targets[500:]).all()


def test_one_hot_cuts_longer_sequences_and_leaves_missing_positions_at_zero():
    strings = random_strings(200, 6, seed=1)
    targets = np.array([int(string[0] in "AG") for string in strings])
    model = linear_baseline(strings, targets, strings, targets, kind="symbols", seed=0)
    assert model.description.startswith("one-hot positions")
    whole, longer, short, unknown = model.predict_proba(["ACGTAC", "ACGTACGGGG", "ACG", "ACG???"])
    assert whole.tolist() == longer.tolist()
    assert short.tolist() == unknown.tolist() != whole.tolist()


def test_a_motif_anywhere_is_found_by_k_mers():
    strings = random_strings(600, 15, seed=2)
    targets = np.arange(600) % 2
    places = np.random.default_rng(3).integers(11, size=600)
    strings = [
        string[:at] + ("GATC" if target else "CTAG") + string[at + 4 :]
        for string, target, at in zip(strings, targets, places, strict=True)
    ]
    model = linear_baseline(strings[:400], targets[:400], strings[400:500], targets[400:500], kind="symbols", seed=0)
    assert model.description.startswith("TF-IDF of characters")
    assert (model.predict_proba(strings[500:]).argmax(axis=1) == targets[500:]).mean() > 0.85


def test_one_hot_is_not_tried_where_lengths_differ():
    strings = ["A" * 5 + "C" * 3, "C" * 6 + "A", "AAAC", "CCCA"] * 10
    model = linear_baseline(strings, np.tile([0, 1], 20), None, None, kind="symbols", seed=0)
    assert model.description.startswith("TF-IDF of characters")
    assert model.predict_proba(["AAAAAA", "CCC"]).argmax(axis=1).tolist() == [0, 1]


def test_symbols_keep_their_case():
    strings, targets = ["ac", "AC", "aca", "ACA"] * 10, np.tile([0, 1], 20)  # of two lengths, so told apart by k-mers
    model = linear_baseline(strings, targets, strings, targets, kind="symbols", seed=0)
    assert model.predict_proba(["ac", "AC"]).argmax(axis=1).tolist() == [0, 1]


def test_order_of_two_events_is_found():
    logs = [["Open File", "CLOSE", "end"], ["CLOSE", "Open File", "end"]] * 20
    targets = np.tile([0, 1], 20)
    model = linear_baseline(logs, targets, None, None, kind="events", seed=0)
    assert model.predict_proba(logs[:2]).argmax(axis=1).tolist() == [0, 1]
    assert model.predict_proba([["never seen"], []]) == pytest.approx(
        np.full((2, 2), 0.5), abs=0.05
    )  # 20 of each class


def test_summary_statistics_by_hand():
    series = [np.array([[1.0, 5.0], [4.0, 5.0], [2.0, 8.0]]), np.array([[7.0, 0.0]])]
    model = linear_baseline(series * 4, np.tile([0, 1], 4), series, np.array([0, 1]), kind="numeric", seed=0)
    summarise = model.features.steps[0][1]
    # mean, standard deviation, minimum, maximum, first, last, mean absolute step; of each channel
    first = [7 / 3, 6, np.sqrt(14 / 9), np.sqrt(2), 1, 5, 4, 8, 1, 5, 2, 8, 2.5, 1.5]
    assert summarise.transform(series)[0] == pytest.approx(np.array(first))
    assert summarise.transform(series)[1].tolist() == [7, 0, 0, 0, 7, 0, 7, 0, 7, 0, 7, 0, 0, 0]
    assert summarise.transform([np.empty((0, 2))]).tolist() == [[0.0] * 14]
    assert model.predict_proba(series).argmax(axis=1).tolist() == [0, 1]


def test_numeric_model_does_not_depend_on_the_unit():
    rng = np.random.default_rng(0)
    series = [rng.normal(loc=[target, 0], size=(rng.integers(3, 9), 2)) for target in np.tile([0, 1], 30)]
    metres, mixed = (
        linear_baseline([s * unit for s in series], np.tile([0, 1], 30), None, None, kind="numeric", seed=0)
        for unit in ([1, 1], [1000, 0.1])
    )
    assert metres.predict_proba(series) == pytest.approx(
        mixed.predict_proba([s * [1000, 0.1] for s in series]), abs=1e-6
    )


def test_a_class_without_training_examples_has_probability_zero():
    texts, targets = [GOOD, BAD] * 4, np.array([0, 2] * 4)
    probabilities = linear_baseline(texts, targets, texts, targets, kind="text", seed=0).predict_proba(texts)
    assert probabilities[:, 1].tolist() == [0.0] * 8
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(8))


def test_cross_validation_bears_classes_with_one_example():
    texts, targets = [GOOD, BAD, GOOD, BAD, "odd"], np.array([0, 1, 0, 1, 2])
    probabilities = linear_baseline(texts, targets, None, None, kind="text", seed=0).predict_proba(texts)
    assert probabilities.argmax(axis=1)[:4].tolist() == [0, 1, 0, 1]


def test_the_answer_for_a_sequence_depends_on_it_alone():
    strings = random_strings(60, 8, seed=5)
    model = linear_baseline(strings, np.tile([0, 1], 30), None, None, kind="symbols", seed=0)
    together = model.predict_proba(strings)
    assert np.concatenate([model.predict_proba([string]) for string in strings]) == pytest.approx(together, abs=1e-6)


@pytest.mark.parametrize(
    ("sequences", "targets", "kind", "error", "message"),
    [
        ([GOOD, BAD] * 2, [0, 1] * 2, "txet", ConfigError, "Unknown kind of sequence 'txet'. Did you mean 'text'?"),
        ([GOOD, BAD] * 2, [0, 1] * 2, "events", ConfigError, "kind 'events' does not fit sequences of type str"),
        ([["a"], ["b"]] * 2, [0, 1] * 2, "text", ConfigError, "kind 'text' does not fit sequences of type list"),
        ([GOOD, BAD] * 2, [0, 1, 0], "text", ConfigError, "4 training sequences have 3 targets"),
        ([GOOD, BAD] * 2, [1, 1, 1, 1], "text", DataError, "Training examples of each class: [0, 4]"),
        (
            [" ", "?"] * 2,
            [0, 1] * 2,
            "text",
            DataError,
            "cannot become features (TF-IDF of words (1-2-grams)): empty vocabulary",
        ),
    ],
)
def test_what_has_no_baseline_is_refused(sequences, targets, kind, error, message):
    with pytest.raises(error, match=re.escape(message)):
        linear_baseline(sequences, np.array(targets), None, None, kind=kind, seed=0)
