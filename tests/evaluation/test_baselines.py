import re

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier

from ostinato.errors import ConfigError, DataError
from ostinato.evaluation.baselines import (
    label_frequencies,
    linear_baseline,
    linear_multilabel_baseline,
    majority_baseline,
    mean_baseline,
    median_baseline,
    ridge_baseline,
)

GOOD, BAD = "a fine warm film", "a dull cold film"


def random_strings(n: int, length: int, seed: int, alphabet: str = "ACGT") -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(row) for row in rng.choice(list(alphabet), size=(n, length))]


def test_majority_predicts_the_training_shares():
    assert majority_baseline(np.array([0, 1, 1, 1]), 2, 3).tolist() == [[0.25, 0.75, 0.0]] * 2


def test_constants_come_from_the_training_targets():
    assert label_frequencies(np.array([[1, 0], [1, 1], [0, 0], [1, 0]]), 2).tolist() == [[0.75, 0.25]] * 2
    targets = np.array([[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]])
    assert mean_baseline(targets, 2).tolist() == [[3.0, 30.0]] * 2
    assert median_baseline(targets, 1).tolist() == [[2.0, 20.0]]


def test_text_model_is_the_scikit_learn_one_it_describes():
    rng = np.random.default_rng(0)
    words = np.array(["good", "bad", "film", "plot", "not", "very"])
    texts = [" ".join(rng.choice(words, size=6)) for _ in range(120)]
    targets = np.array([int("not bad" in text or "good" in text) for text in texts])
    model = linear_baseline(texts[:80], targets[:80], texts[80:], targets[80:], kind="text", seed=0)
    features, C = described(model.description, "logistic regression, C")
    expected = LogisticRegression(C=C, tol=1e-8, max_iter=5000).fit(features.fit_transform(texts[:80]), targets[:80])
    # ours is float32 and stops sooner
    assert model.predict(texts[80:]) == pytest.approx(expected.predict_proba(features.transform(texts[80:])), abs=0.03)


def test_parts_of_words_are_chosen_where_they_tell_the_class():
    rng = np.random.default_rng(0)
    stems = ["".join(rng.choice(list("bdfgklmnprst"), 5)) for _ in range(300)]  # every word is new
    targets = np.tile([0, 1], 150)
    words = [stem + ("ing", "ed")[target] for stem, target in zip(stems, targets, strict=True)]
    model = linear_baseline(words[:200], targets[:200], words[200:250], targets[200:250], kind="text", seed=0)
    assert model.description.startswith("TF-IDF of characters within words (2-5-grams)")
    assert (model.predict(words[250:]).argmax(axis=1) == targets[250:]).all()


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
    lower, upper, longer = model.predict([GOOD, GOOD.upper(), GOOD + " zebra"])
    assert lower.tolist() == upper.tolist() == longer.tolist()
    assert lower.argmax() == 0


def test_a_symbol_at_a_position_is_found_by_one_hot():
    strings = random_strings(600, 12, seed=0)
    targets = np.array([int(string[7] in "AG") for string in strings])
    model = linear_baseline(strings[:400], targets[:400], strings[400:500], targets[400:500], kind="symbols", seed=0)
    assert model.description.startswith("one-hot positions")
    assert (model.predict(strings[500:]).argmax(axis=1) == targets[500:]).all()


def test_one_hot_cuts_longer_sequences_and_leaves_missing_positions_at_zero():
    strings = random_strings(200, 6, seed=1)
    targets = np.array([int(string[0] in "AG") for string in strings])
    model = linear_baseline(strings, targets, strings, targets, kind="symbols", seed=0)
    assert model.description.startswith("one-hot positions")
    whole, longer, short, unknown = model.predict(["ACGTAC", "ACGTACGGGG", "ACG", "ACG???"])
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
    assert (model.predict(strings[500:]).argmax(axis=1) == targets[500:]).mean() > 0.85


def test_one_hot_is_not_tried_where_lengths_differ():
    strings = ["A" * 5 + "C" * 3, "C" * 6 + "A", "AAAC", "CCCA"] * 10
    model = linear_baseline(strings, np.tile([0, 1], 20), None, None, kind="symbols", seed=0)
    assert model.description.startswith("TF-IDF of characters")
    assert model.predict(["AAAAAA", "CCC"]).argmax(axis=1).tolist() == [0, 1]


def test_symbols_keep_their_case():
    strings, targets = (
        ["ac", "AC", "aca", "ACA"] * 10,
        np.tile([0, 1], 20),
    )  # of two lengths, so only k-mers distinguish them
    model = linear_baseline(strings, targets, strings, targets, kind="symbols", seed=0)
    assert model.predict(["ac", "AC"]).argmax(axis=1).tolist() == [0, 1]


def test_order_of_two_events_is_found():
    logs = [["Open File", "CLOSE", "end"], ["CLOSE", "Open File", "end"]] * 20
    targets = np.tile([0, 1], 20)
    model = linear_baseline(logs, targets, None, None, kind="events", seed=0)
    assert model.predict(logs[:2]).argmax(axis=1).tolist() == [0, 1]
    assert model.predict([["never seen"], []]) == pytest.approx(np.full((2, 2), 0.5), abs=0.05)  # 20 of each class


def test_summary_statistics_by_hand():
    series = [np.array([[1.0, 5.0], [4.0, 5.0], [2.0, 8.0]]), np.array([[7.0, 0.0]])]
    model = linear_baseline(series * 4, np.tile([0, 1], 4), series, np.array([0, 1]), kind="numeric", seed=0)
    summarise = model.features.steps[0][1]
    # mean, standard deviation, minimum, maximum, first, last, mean absolute step; of each channel
    first = [7 / 3, 6, np.sqrt(14 / 9), np.sqrt(2), 1, 5, 4, 8, 1, 5, 2, 8, 2.5, 1.5]
    assert summarise.transform(series)[0] == pytest.approx(np.array(first))
    assert summarise.transform(series)[1].tolist() == [7, 0, 0, 0, 7, 0, 7, 0, 7, 0, 7, 0, 0, 0]
    assert summarise.transform([np.empty((0, 2))]).tolist() == [[0.0] * 14]
    assert model.predict(series).argmax(axis=1).tolist() == [0, 1]


def test_numeric_model_does_not_depend_on_the_unit():
    rng = np.random.default_rng(0)
    series = [rng.normal(loc=[target, 0], size=(rng.integers(3, 9), 2)) for target in np.tile([0, 1], 30)]
    metres, mixed = (
        linear_baseline([s * unit for s in series], np.tile([0, 1], 30), None, None, kind="numeric", seed=0)
        for unit in ([1, 1], [1000, 0.1])
    )
    assert metres.predict(series) == pytest.approx(mixed.predict([s * [1000, 0.1] for s in series]), abs=1e-6)


def test_a_class_without_training_examples_has_probability_zero():
    texts, targets = [GOOD, BAD] * 4, np.array([0, 2] * 4)
    probabilities = linear_baseline(texts, targets, texts, targets, kind="text", seed=0).predict(texts)
    assert probabilities[:, 1].tolist() == [0.0] * 8
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(8))


def test_cross_validation_bears_classes_with_one_example():
    texts, targets = [GOOD, BAD, GOOD, BAD, "odd"], np.array([0, 1, 0, 1, 2])
    probabilities = linear_baseline(texts, targets, None, None, kind="text", seed=0).predict(texts)
    assert probabilities.argmax(axis=1)[:4].tolist() == [0, 1, 0, 1]


def test_the_answer_for_a_sequence_depends_on_it_alone():
    strings = random_strings(60, 8, seed=5)
    model = linear_baseline(strings, np.tile([0, 1], 30), None, None, kind="symbols", seed=0)
    together = model.predict(strings)
    assert np.concatenate([model.predict([string]) for string in strings]) == pytest.approx(together, abs=1e-6)


def reviews(n: int, seed: int) -> list[str]:
    words = np.array(["good", "bad", "film", "plot", "not", "very"])
    return [" ".join(row) for row in np.random.default_rng(seed).choice(words, size=(n, 6))]


ANALYSES = {
    "words (1-2-grams)": {"ngram_range": (1, 2)},
    "characters within words (2-5-grams)": {"analyzer": "char_wb", "ngram_range": (2, 5)},
}


def described(description: str, name: str) -> tuple[TfidfVectorizer, float]:
    """scikit-learn's features of that description, and the strength."""
    features, strength = re.fullmatch(rf"TF-IDF of (.+), {name}=([\d.]+)", description).groups()
    return TfidfVectorizer(sublinear_tf=True, **ANALYSES[features]), float(strength)


def test_label_sets_get_scikit_learns_one_vs_rest():
    texts = reviews(120, seed=1)
    targets = np.array([["good" in text, "bad" in text, "not bad" in text] for text in texts]).astype(int)
    model = linear_multilabel_baseline(texts[:80], targets[:80], texts[80:], targets[80:], kind="text", seed=0)
    features, C = described(model.description, "logistic regression per label, C")
    expected = OneVsRestClassifier(LogisticRegression(C=C, tol=1e-8, max_iter=5000))
    expected.fit(features.fit_transform(texts[:80]), targets[:80])
    found = model.predict(texts[80:])
    assert found.shape == (40, 3)
    # ours is float32 and stops sooner
    assert found == pytest.approx(expected.predict_proba(features.transform(texts[80:])), abs=0.03)


def test_a_label_that_never_varies_is_predicted_as_it_is():
    targets = np.array([[0, 1, 0], [1, 1, 0]] * 6)
    probabilities = linear_multilabel_baseline([BAD, GOOD] * 6, targets, None, None, kind="text", seed=0).predict(
        [GOOD]
    )
    assert probabilities[0, 0] > 0.5 and probabilities[0, 1:].tolist() == [1.0, 0.0]


def test_validation_log_loss_picks_the_strength_for_all_labels():
    texts, targets = [GOOD, BAD] * 20, np.array([[0, 1], [1, 0]] * 20)
    for validation, ending in ((targets, "C=100"), (targets[::-1], "C=0.1")):
        model = linear_multilabel_baseline(texts, targets, texts, validation, kind="text", seed=0)
        assert model.description.endswith(ending)


def test_numbers_get_scikit_learns_ridge_in_their_own_units():
    texts = reviews(120, seed=2)
    counts = np.array([[text.count("good"), text.count("bad")] for text in texts]) * [1.0, 1e6] + [5.0, 1e9]
    model = ridge_baseline(texts[:80], counts[:80], texts[80:], counts[80:], kind="text", seed=0)
    features, alpha = described(model.description, "ridge regression, alpha")
    expected = Ridge(alpha=alpha, tol=1e-10).fit(features.fit_transform(texts[:80]), counts[:80])
    found, deviation = model.predict(texts[80:]), counts.std(axis=0)
    error = (found - expected.predict(features.transform(texts[80:]))) / deviation
    assert np.abs(error).max() < 1e-2  # ours is float32 and stops sooner
    assert ((found - counts[80:]) / deviation).std() < 0.5


def test_validation_error_picks_the_ridges_strength():
    rng = np.random.default_rng(0)
    series = [np.full((3, 1), value) for value in rng.normal(size=60)]
    targets = np.array([each[0] for each in series])
    for validation, ending in ((targets, "alpha=0.01"), (-targets, "alpha=100")):
        model = ridge_baseline(series, targets, series, validation, kind="numeric", seed=0)
        assert model.description == f"summary statistics, ridge regression, {ending}"


def test_a_constant_target_is_predicted_exactly():
    targets = np.array([[4.0, 0.0], [4.0, 1.0]] * 6)
    values = ridge_baseline([BAD, GOOD] * 6, targets, None, None, kind="text", seed=0).predict([GOOD])
    assert values[0, 0] == 4.0 and values[0, 1] > 0.5


@pytest.mark.parametrize("fit", [linear_multilabel_baseline, ridge_baseline])
def test_too_few_examples_have_no_baseline(fit):
    with pytest.raises(DataError, match="2 training examples"):
        fit([GOOD, BAD], np.array([[0], [1]]), None, None, kind="text", seed=0)


def test_labels_that_never_vary_have_no_baseline():
    with pytest.raises(DataError, match=r"\[1, 0\]"):
        linear_multilabel_baseline([GOOD, BAD] * 2, np.array([[1, 0]] * 4), None, None, kind="text", seed=0)


@pytest.mark.parametrize(
    ("sequences", "targets", "kind", "error", "message"),
    [
        ([GOOD, BAD] * 2, [0, 1] * 2, "txet", ConfigError, "Unknown kind of sequence 'txet'. Did you mean 'text'?"),
        ([GOOD, BAD] * 2, [0, 1] * 2, "events", ConfigError, "'events' does not match sequences of type str"),
        ([["a"], ["b"]] * 2, [0, 1] * 2, "text", ConfigError, "'text' does not match sequences of type list"),
        ([GOOD, BAD] * 2, [0, 1, 0], "text", ConfigError, "4 training sequences have 3 targets"),
        ([GOOD, BAD] * 2, [1, 1, 1, 1], "text", DataError, "Training examples of each class: [0, 4]"),
        (
            [" ", "?"] * 2,
            [0, 1] * 2,
            "text",
            DataError,
            "(TF-IDF of words (1-2-grams)): empty vocabulary",
        ),
    ],
)
def test_what_has_no_baseline_is_refused(sequences, targets, kind, error, message):
    with pytest.raises(error, match=re.escape(message)):
        linear_baseline(sequences, np.array(targets), None, None, kind=kind, seed=0)
