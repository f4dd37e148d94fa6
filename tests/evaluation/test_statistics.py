import numpy as np
import pytest
from scipy import stats

from ostinato.errors import ConfigError
from ostinato.evaluation.metrics import CLASSIFICATION_METRICS
from ostinato.evaluation.results import Metric
from ostinato.evaluation.statistics import (
    NO_DIFFERENCE,
    cohen_h,
    compare,
    hedges_g,
    holm,
    mcnemar,
    score_resampled,
    score_right,
    score_seeds,
    seed_interval,
    sentence,
    verdict,
    versus,
)

ACCURACY, LOG_LOSS = CLASSIFICATION_METRICS["accuracy"], CLASSIFICATION_METRICS["log_loss"]


def answers(right):
    """Two-class predictions (S, n, 2) that are right where `right` is True; all targets are class 0."""
    right = np.asarray(right)
    return np.stack([np.where(right, 0.9, 0.1), np.where(right, 0.1, 0.9)], axis=-1)


def scored(right):
    """The accuracy of right answers, without going through probabilities."""
    return score_right(ACCURACY, np.atleast_2d(right))


def draw(rng, n, seeds, accuracy, *, difficulty=1.5, seed_effect=0.0):
    """Right answers of one model: examples have a difficulty that all models share, trainings have their luck."""
    shared = rng["examples"].normal(size=n) * difficulty
    luck = rng["seeds"].normal(size=(seeds, 1)) * seed_effect
    noise = rng["seeds"].normal(size=(seeds, n))
    scale = np.sqrt(1 + difficulty**2 + seed_effect**2)
    return stats.norm.ppf(accuracy) * scale + shared + luck + noise > 0


def pair(number, n, seeds, first, second, **effects):
    """Two independently trained models on the same examples."""
    return [
        scored(
            draw(
                {"examples": np.random.default_rng([number, 0]), "seeds": np.random.default_rng([number, which])},
                n,
                seeds,
                accuracy,
                **effects,
            )
        )
        for which, accuracy in ((1, first), (2, second))
    ]


def test_mcnemar_equals_statsmodels_on_known_tables():
    contingency = pytest.importorskip("statsmodels.stats.contingency_tables")
    for both, only_first, only_second, neither in [
        (50, 9, 3, 20),
        (0, 0, 12, 1),
        (700, 31, 58, 211),
        (5, 4, 4, 5),
        (3, 0, 0, 2),
    ]:
        first = np.repeat([True, True, False, False], [both, only_first, only_second, neither])
        second = np.repeat([True, False, True, False], [both, only_first, only_second, neither])
        table = [[both, only_first], [only_second, neither]]
        expected = contingency.mcnemar(table, exact=True).pvalue if only_first + only_second else 1.0
        assert mcnemar(first, second) == pytest.approx(min(expected, 1.0), abs=1e-12)


def test_holm_equals_statsmodels_and_the_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(0).random(12) ** 3
    assert holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1].tolist())


def test_holm_of_nothing_is_nothing():
    assert holm([]) == []


def test_seed_interval_is_the_t_interval_of_scipy():
    scores = [0.81, 0.84, 0.80, 0.83, 0.85]
    expected = stats.t.interval(0.95, 4, loc=np.mean(scores), scale=stats.sem(scores))
    assert seed_interval(scores, ACCURACY) == pytest.approx(expected)
    assert seed_interval([0.8], ACCURACY) is None


def test_intervals_stay_within_the_metrics_bounds():
    assert seed_interval([0.3, 0.6], ACCURACY) == (0, 1)
    assert seed_interval([0.3, 0.6], CLASSIFICATION_METRICS["mcc"]) == (-1, 1)
    low, high = seed_interval([0.3, 0.6], LOG_LOSS)
    assert low == 0
    assert high == pytest.approx(stats.t.interval(0.95, 1, 0.45, 0.15)[1])
    few = [scored(np.arange(60) < 60 * np.array(shares)[:, None]) for shares in ([0.2, 0.9], [0.9, 0.2])]
    assert compare(*few).interval == (-1, 1)


def test_effect_sizes_equal_statsmodels_and_the_hand():
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    assert cohen_h(0.9, 0.8) == pytest.approx(proportion.proportion_effectsize(0.9, 0.8))
    # means 2 and 4, both variances 1, 4 degrees of freedom: d = −2, times 1 − 3/15
    assert hedges_g(np.array([1.0, 2, 3]), np.array([3.0, 4, 5])) == pytest.approx(-1.6)
    assert hedges_g(np.array([0.5, 0.5]), np.array([0.5, 0.5])) is None


def test_many_equal_seeds_give_the_paired_t_test_over_examples():
    """Seeds that all answer alike add nothing: what is left is the paired test over examples, with two pairs more."""
    rng = np.random.default_rng(0)
    first, second = rng.random(4000) < 0.8, rng.random(4000) < 0.75
    found = compare(scored([first] * 4), scored([second] * 4))
    expected = stats.ttest_rel(first.astype(float), second.astype(float))
    assert found.p == pytest.approx(expected.pvalue, rel=0.02)
    assert found.interval == pytest.approx(expected.confidence_interval(), abs=1e-4)


def test_many_examples_give_welchs_test_over_seeds():
    """Where the examples tell nearly all, what is left is the luck of the seeds."""
    rng = np.random.default_rng(1)
    first, second = (
        rng.random((5, 200_000)) < accuracy
        for accuracy in np.array([[0.80, 0.82, 0.79, 0.81, 0.83], [0.84, 0.83, 0.86, 0.82, 0.85]])[..., None]
    )
    found = compare(scored(first), scored(second))
    expected = stats.ttest_ind(first.mean(axis=1), second.mean(axis=1), equal_var=False)
    assert found.p == pytest.approx(expected.pvalue, rel=0.1)


@pytest.mark.parametrize(
    ("seeds", "n", "seed_effect"),
    [(1, 200, 0.0), (1, 1000, 0.0), (3, 1000, 0.0), (5, 200, 0.0), (5, 1000, 0.15), (3, 2000, 0.3)],
)
def test_identical_models_do_not_differ_in_930_of_1000_comparisons(seeds, n, seed_effect):
    pairs = (pair(number, n, seeds, 0.85, 0.85, seed_effect=seed_effect) for number in range(1000))
    verdicts = [verdict(found, found.p) for found in (compare(*models) for models in pairs)]
    assert verdicts.count(NO_DIFFERENCE) >= 930


@pytest.mark.parametrize("seeds", [1, 5])
def test_a_planted_difference_of_3_points_on_5000_examples_is_found(seeds):
    found = [compare(*pair(number, 5000, seeds, 0.85, 0.82)) for number in range(100)]
    assert [verdict(each, holm([each.p, 0.9, 0.9])[0]) for each in found].count("better") >= 95


def test_intervals_hold_the_true_difference_in_930_of_1000_comparisons():
    inside = [
        low <= 0.02 <= high
        for low, high in (
            compare(*pair(number, 800, 4, 0.86, 0.84, seed_effect=0.1)).interval for number in range(1000)
        )
    ]
    assert sum(inside) >= 930


@pytest.mark.slow
def test_identical_models_do_not_differ_by_the_bootstrap():
    verdicts = []
    for number in range(300):
        rng = np.random.default_rng(number)
        targets = rng.integers(2, size=300)
        shared = rng.normal(size=300) + 1.5 * (2 * targets - 1)

        def model(rng=rng, shared=shared):
            luck = rng.normal(size=(3, 1)) * 0.3
            positive = 1 / (1 + np.exp(-(shared + luck + rng.normal(size=(3, 300)))))
            return np.stack([1 - positive, positive], axis=-1)

        found = compare(*(score_seeds(targets, model(), LOG_LOSS) for _ in range(2)))
        verdicts.append(verdict(found, found.p))
    assert verdicts.count(NO_DIFFERENCE) >= 275  # 930 of 1,000 less two standard errors of 300 draws


def test_the_bootstrap_finds_a_better_model():
    rng = np.random.default_rng(0)
    targets = rng.integers(3, size=400)
    good, poor = (np.exp(rng.normal(size=(3, 400, 3)) + strength * np.eye(3)[targets]) for strength in (2.5, 1.5))
    good, poor = (each / each.sum(axis=-1, keepdims=True) for each in (good, poor))
    for metric in ("macro_f1", "auroc", "log_loss"):
        found = compare(*(score_seeds(targets, each, CLASSIFICATION_METRICS[metric]) for each in (good, poor)))
        assert verdict(found, found.p) == "better"
        assert (found.difference > 0) == (metric != "log_loss")
        assert found.interval[0] <= found.difference <= found.interval[1]


def test_the_bootstraps_standard_error_of_a_mean_is_the_textbooks():
    rng = np.random.default_rng(2)
    targets, confidence = np.zeros(500, int), rng.uniform(0.3, 0.9, size=(2, 1, 500))
    first, second = (np.stack([each, 1 - each], axis=-1) for each in confidence)
    low, high = compare(*(score_seeds(targets, each, LOG_LOSS) for each in (first, second))).interval
    losses = -np.log(confidence[0, 0]) + np.log(confidence[1, 0])
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 499) * stats.sem(losses), rel=0.06)


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "log_loss"])
def test_the_same_answers_do_not_differ(metric, seeds):
    rng = np.random.default_rng(0)
    targets = np.tile([0, 1], 20)
    same = np.tile(rng.dirichlet([1, 1], size=40), (seeds, 1, 1))
    found = compare(*(score_seeds(targets, same, CLASSIFICATION_METRICS[metric]) for _ in range(2)))
    assert (found.difference, found.p) == (0, 1)
    assert found.interval[0] <= 0 <= found.interval[1]
    assert verdict(found, found.p) == NO_DIFFERENCE


def test_accuracy_of_all_right_answers_is_not_certain():
    low, high = compare(scored(np.ones((3, 12), bool)), scored(np.ones((3, 12), bool))).interval
    assert low < -0.05 < 0.05 < high


def test_scores_of_probabilities_are_those_of_the_answers():
    right = np.random.default_rng(0).random((2, 30)) < 0.7
    found = score_seeds(np.zeros(30, int), answers(right), ACCURACY)
    assert found.scores == pytest.approx(right.mean(axis=1))
    assert (found.right == right).all()


def test_resampled_scores_are_those_of_repeated_examples():
    values = np.random.default_rng(0).random((2, 50))  # two seeds
    mean = Metric("mean")
    found = score_resampled(mean, lambda weights: weights @ values.T / weights.sum(axis=1, keepdims=True), 50)
    assert found.scores == pytest.approx(values.mean(axis=1))
    assert (found.n, found.resampled.shape, found.right) == (50, (2000, 2), None)
    drawn = np.random.default_rng(0).integers(50, size=(2000, 50))  # the resamples' own generator
    assert found.resampled == pytest.approx(values[:, drawn].mean(axis=2).T)


def test_a_metric_without_unit_shows_three_significant_digits():
    error = Metric("mae", higher_is_better=False, scale=1, unit="", bounds=(0.0, np.inf))
    errors = np.random.default_rng(0).random((2, 400)) * 0.01
    first, second = (
        score_resampled(error, lambda weights, e=e: weights @ e[:, None] / 400, 400)
        for e in (errors[0], errors[1] + 0.01)
    )
    found = compare(first, second)
    assert verdict(found, found.p) == "better"
    shift = f"mae −{second.scores[0] - first.scores[0]:.3g} (95"
    assert shift in sentence("gru", "rnn", found, found.p)


def test_the_sentence_names_a_winner_only_outside_the_noise():
    better = compare(*pair(0, 5000, 1, 0.9, 0.8))
    assert sentence("gru", "rnn", better, better.p).startswith("gru is better than rnn: accuracy +")
    worse = compare(*reversed(pair(0, 5000, 1, 0.9, 0.8)))
    assert sentence("rnn", "gru", worse, worse.p).startswith("rnn is worse than gru: accuracy −")
    assert sentence("gru", "rnn", better, 0.05).startswith(f"gru and rnn are {NO_DIFFERENCE}:")


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="'acuracy'.*'accuracy'"):
        score_seeds(np.zeros(3, int), answers(np.ones((1, 3))), Metric("acuracy"))
    with pytest.raises(ConfigError, match=r"\(3, 2\)"):
        score_seeds(np.zeros(3, int), answers(np.ones(3)), ACCURACY)
    with pytest.raises(ConfigError, match="4 .* 5"):
        compare(scored(np.ones((1, 4), bool)), scored(np.ones((1, 5), bool)))


def test_an_undefined_score_is_not_compared():
    def constant(value):
        return lambda weights: np.full((len(weights), 1), value)

    undefined, defined = (score_resampled(LOG_LOSS, constant(value), 5) for value in (np.nan, 0.5))
    assert versus(undefined, defined) is None and versus(defined, undefined) is None
    assert versus(defined, defined).difference == 0


def test_one_example_is_not_compared():
    one, other = (
        score_resampled(LOG_LOSS, lambda weights, v=value: np.full((len(weights), 1), v), 1) for value in (0.5, 0.6)
    )
    assert versus(one, other) is None
