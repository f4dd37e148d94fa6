"""Faithfulness against a hand-set model, of which every masked answer is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_rel

from ostinato import SequenceClassifier, explain
from ostinato.errors import ConfigError, DataError
from ostinato.explanation import Explanation
from ostinato.explanation.faithfulness import Figure, measure

WEIGHTS = {"A": 2.0, "C": -1.0, "G": 0.5, "T": 0.0}
NEUTRAL = (2.0 - 1.0 + 0.5 + 0.0) / 5  # the mean of A, C, G, T and N, whose weight is 0
SHARES = [0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]


def explained(sequence, scores, *, method="given", label="yes"):
    return Explanation(
        method,
        sequence,
        list(sequence),
        [(place, place + 1) for place in range(len(sequence))],
        np.array(scores, float),
        label,
        0.5,
    )


def by_weight(sequence, sign=1.0):
    return explained(sequence, [sign * WEIGHTS[letter] for letter in sequence])


def draw_sequences(count, *, seed=0):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), size=size)) for size in rng.integers(15, 40, size=count)]


def probability(weights, *, temperature=1.0):
    return 1 / (1 + np.exp(-np.mean(weights) / temperature))


def test_curves_equal_masking_one_share_at_a_time(make_linear):
    model = make_linear()
    model.model_.temperature.fill_(2.0)
    sequence = "ACGTAACGTTGCAGG"  # 15 steps: 1 % and 5 % are one step, 10 % are two
    found = measure(model, [by_weight(sequence)])
    ranked = sorted((WEIGHTS[letter] for letter in sequence), reverse=True)
    counts = [0, 1, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15]
    deletion = [probability([NEUTRAL] * count + ranked[count:], temperature=2.0) for count in counts]
    keeping = [probability(ranked[:count] + [NEUTRAL] * (15 - count), temperature=2.0) for count in counts]
    np.testing.assert_allclose(found.shares, SHARES)
    np.testing.assert_allclose(found.deletion, deletion, atol=1e-5)
    np.testing.assert_allclose(found.keeping, keeping, atol=1e-5)
    erasers = [SHARES.index(share) for share in (0.01, 0.05, 0.1, 0.2, 0.5)]
    whole = deletion[0]
    assert found.comprehensiveness.value == pytest.approx(np.mean([whole - deletion[at] for at in erasers]), abs=1e-5)
    assert found.sufficiency.value == pytest.approx(np.mean([whole - keeping[at] for at in erasers]), abs=1e-5)
    trapezoids = [
        (SHARES[at + 1] - SHARES[at]) * (deletion[at] + deletion[at + 1]) / 2 for at in range(len(SHARES) - 1)
    ]
    assert found.area.value == pytest.approx(whole - sum(trapezoids), abs=1e-5)


def test_random_curves_start_and_end_where_the_methods_do(make_linear):
    found = measure(make_linear(), [by_weight(sequence) for sequence in draw_sequences(4)], rankings=3)
    assert found.random_deletion.shape == found.random_keeping.shape == (3, len(SHARES))
    for random, curve in ((found.random_deletion, found.deletion), (found.random_keeping, found.keeping)):
        np.testing.assert_allclose(random[:, [0, -1]], np.tile(curve[[0, -1]], (3, 1)), atol=1e-6)
    np.testing.assert_allclose(found.deletion[[0, -1]], found.keeping[[-1, 0]], atol=1e-6)


def test_random_curves_are_the_expected_ones(make_linear):
    sequence = "A" * 10 + "C" * 10
    found = measure(make_linear(), [by_weight(sequence)], rankings=400)
    few = SHARES.index(0.05)  # one step: an A or a C, each as likely
    one_a, one_c = (probability([2] * (10 - a) + [-1] * (9 + a) + [NEUTRAL]) for a in (1, 0))
    assert set(np.round(found.random_deletion[:, few], 4)) == {round(one_a, 4), round(one_c, 4)}
    assert found.random_deletion[:, few].mean() == pytest.approx(
        (one_a + one_c) / 2, abs=3 * abs(one_a - one_c) / 2 / 20
    )


def test_the_true_ranking_is_better_than_random_and_its_inverse_worse(make_linear):
    model, sequences = make_linear(), draw_sequences(12)
    best, worst = (measure(model, [by_weight(sequence, sign) for sequence in sequences]) for sign in (1, -1))
    assert best.verdict == "better than" and worst.verdict == "worse than"
    assert best.comprehensiveness.interval[0] > 0 > best.sufficiency.interval[1]
    assert worst.comprehensiveness.interval[1] < 0 < worst.sufficiency.interval[0]
    figures = ("given", "better than", "probability", f"{best.area.difference:+.3f}", "12 sequences")
    assert all(figure in best.sentence for figure in figures)


def test_the_inverse_ranking_keeps_what_the_true_one_masks(make_linear):
    model = make_linear()
    best, worst = (measure(model, [by_weight("ACGTACGTAC", sign)]) for sign in (1, -1))
    tenths = [0, *range(3, len(SHARES))]  # shares of which 1 − share is one too
    np.testing.assert_allclose(best.deletion[tenths], worst.keeping[tenths][::-1], atol=1e-5)


def test_random_scores_are_told_apart_as_rarely_as_the_interval_says(make_linear):
    model, sequences, rng = make_linear(), draw_sequences(10), np.random.default_rng(1)
    found = [
        measure(model, [explained(each, rng.random(len(each))) for each in sequences], rankings=3, seed=seed)
        for seed in range(40)
    ]
    told_apart = sum(each.verdict != "indistinguishable from" for each in found)
    assert told_apart <= 6  # 2 of 40 are expected; more than 6 come by chance in 1 of 300 runs
    assert np.mean([each.area.difference for each in found]) == pytest.approx(0, abs=0.003)


def test_equal_scores_are_a_random_ranking_not_the_order_of_reading(make_linear):
    model, sequences = make_linear(), ["A" * size + "C" * size for size in range(8, 24)]
    constant = measure(model, [explained(each, np.zeros(len(each))) for each in sequences])
    reading = measure(model, [explained(each, -np.arange(len(each))) for each in sequences])
    assert reading.verdict == "better than"
    assert constant.verdict == "indistinguishable from"
    assert "indistinguishable from a random ranking" in constant.sentence


def test_a_model_that_hears_nothing_tells_no_ranking_apart(make_linear):
    model = make_linear(dict.fromkeys("ACGT", 0.0))
    found = measure(model, [by_weight(sequence) for sequence in draw_sequences(5)])
    assert found.verdict == "indistinguishable from"
    np.testing.assert_allclose(found.deletion, 0.5, atol=1e-6)


def test_one_token_has_nothing_to_rank(make_linear):
    alone = measure(make_linear(), [by_weight("A")])
    np.testing.assert_allclose(alone.deletion, [probability([2])] + [probability([NEUTRAL])] * 12, atol=1e-5)
    np.testing.assert_allclose(alone.keeping, [probability([NEUTRAL])] + [probability([2])] * 12, atol=1e-5)
    assert alone.area.difference == 0 and alone.area.interval is None
    assert alone.verdict == "indistinguishable from" and "1 sequence)" in alone.sentence
    several = measure(make_linear(), [by_weight(letter) for letter in "ACG"])
    assert several.area.interval == (0, 0) and several.verdict == "indistinguishable from"


def test_five_thousand_steps_are_measured(make_linear):
    found = measure(make_linear(), [by_weight("AC" * 2500)], rankings=1)
    assert found.deletion[SHARES.index(0.5)] == pytest.approx(probability([NEUTRAL, -1]), abs=5e-3)  # every A masked


def test_the_interval_is_the_paired_t_tests(make_linear):
    found = measure(make_linear(), [by_weight(sequence) for sequence in draw_sequences(6)])
    for figure in (found.comprehensiveness, found.sufficiency, found.area):
        expected = ttest_rel(figure.each, figure.random_each).confidence_interval(0.95)
        assert figure.interval == pytest.approx((expected.low, expected.high))
        assert figure.difference == pytest.approx(figure.value - figure.random) and figure.value == pytest.approx(
            figure.each.mean()
        )


def test_figures_of_a_sequence_do_not_depend_on_order_or_batch(make_linear):
    model, explanations = make_linear(), [by_weight(sequence) for sequence in draw_sequences(5)]
    together, backwards = measure(model, explanations), measure(model, explanations[::-1])
    for name in ("comprehensiveness", "sufficiency", "area"):
        for kind in ("each", "random_each"):
            alone = np.concatenate(
                [getattr(getattr(measure(model, [explanation]), name), kind) for explanation in explanations]
            )
            np.testing.assert_allclose(getattr(getattr(together, name), kind), alone, atol=1e-6)
            np.testing.assert_allclose(getattr(getattr(backwards, name), kind), alone[::-1], atol=1e-6)


def test_methods_meet_the_same_random_rankings_and_seeds_others(make_linear):
    model, sequences = make_linear(), draw_sequences(3)
    one, other = (measure(model, [by_weight(sequence, sign) for sequence in sequences]) for sign in (1, -1))
    np.testing.assert_array_equal(one.random_deletion, other.random_deletion)
    assert (
        np.abs(
            measure(model, [by_weight(sequence) for sequence in sequences], seed=1).random_deletion
            - one.random_deletion
        ).max()
        > 1e-3
    )


def test_sequences_of_one_length_meet_different_random_rankings(make_linear):
    model = make_linear()
    one, other = (measure(model, [explained("AAAAACCCCC" + last, np.zeros(11))]) for last in "TN")  # both weigh 0
    assert np.abs(one.random_deletion - other.random_deletion).max() > 1e-3


def test_a_series_is_masked_by_the_training_mean():
    rng = np.random.default_rng(0)
    series = [rng.normal(3, 2, size=(size, 2)) for size in rng.integers(2, 9, size=30)]
    model = SequenceClassifier(
        cell="lstm",
        hidden_size=4,
        embedding_size=4,
        pooling="mean",
        dropout=0.5,
        max_epochs=2,
        validation_fraction=None,
    )
    model.fit(series, [int(each[:, 0].mean() > 3) for each in series])
    model.model_.train()  # dropout must not reach the answers
    explanations = explain(model, series[:5], method="occlusion", label=1)
    found = measure(model, explanations)
    nothing = model.predict_proba([np.tile(model.encoder_.mean, (len(each), 1)) for each in series[:5]])[:, 1].mean()
    assert found.deletion[0] == pytest.approx(np.mean([each.probability for each in explanations]), abs=1e-6)
    assert found.deletion[-1] == pytest.approx(nothing, abs=1e-6)
    assert model.model_.training


def test_all_of_it_is_json(make_linear):
    found = measure(make_linear(), [by_weight("ACGTA")], rankings=2)
    read = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert read["method"] == "given" and read["n"] == 1 and read["sentence"] == found.sentence
    np.testing.assert_allclose(read["random_keeping"], found.random_keeping, atol=1e-6)
    assert read["area"]["interval"] is None and read["area"]["value"] == pytest.approx(found.area.value, abs=1e-6)


def test_dependent_explanations_count_once():
    each, random, groups = np.array([1.0, 3.0, 4.0, np.nan]), np.array([0.0, 1.0, 0.5, np.nan]), np.array([0, 0, 1, 2])
    figure = Figure(each, random, groups)
    assert figure.value == 3 and figure.random == 0.5  # means of the groups (1 + 3) / 2 and 4; 0.5 and 0.5
    expected = ttest_rel([2, 4], [0.5, 0.5]).confidence_interval(0.95)
    assert figure.interval == pytest.approx((expected.low, expected.high))


def test_the_effect_of_masking_is_said_in_the_unit_of_the_answer(make_linear):
    model = make_linear()
    found = measure(model, [by_weight("ACGTACGTAC")])
    assert f"lowers the probability by {found.area.value:.3f}" in found.masking(0)
    in_units = replace(found, quantity="prediction", area=Figure(*(np.array([x]) for x in (-1234.5, 0, 0))))
    assert "raises the prediction by 1234" in in_units.masking(0) and "lowers the prediction by 0" in in_units.masking(
        0
    )
    assert "lowers the prediction by" in in_units.sentence


def test_bad_arguments_are_refused(make_linear):
    model = make_linear()
    with pytest.raises(ConfigError, match="0 methods"):
        measure(model, [])
    with pytest.raises(ConfigError, match=r"2 methods \(given, other\)"):
        measure(model, [by_weight("AC"), explained("AC", [1, 2], method="other")])
    with pytest.raises(ConfigError, match="rankings 0"):
        measure(model, [by_weight("AC")], rankings=0)
    with pytest.raises(DataError, match="explanation 1 .*'maybe'.*no, yes"):
        measure(model, [by_weight("AC"), explained("AC", [1, 2], label="maybe")])
    with pytest.raises(DataError, match="explanation 0 .*2 scores.*3 steps"):
        measure(model, [explained("ACG", [1, 2])])
