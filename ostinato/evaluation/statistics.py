"""Whether two models differ: paired on the same examples, over the seeds of each, corrected for many comparisons.

Two sources of variance are counted: which examples the test split happens to hold, and which seed a training starts
from. A significant difference should therefore reappear with other examples and other seeds. With one seed only the
examples are counted, and the result holds for those two trained models alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ostinato.errors import ConfigError, look_up
from ostinato.evaluation.bootstrap import LEVEL, resample, wilson_interval
from ostinato.evaluation.metrics import CLASSIFICATION_METRICS, check_predictions, weighted_scores
from ostinato.evaluation.results import Metric, Versus

RESAMPLES = 2000
ALPHA = 0.05  # significance level
NO_DIFFERENCE = "not significantly different"


@dataclass(frozen=True)
class Scored:
    """One model's scores on the test split, for each of its seeds.

    Args:
        scores: (S,) the metric of each seed.
        n: number of examples.
        right: (S, n) whether each example is right (for a tagger: the whole sentence); None where nothing is simply
            right or wrong, as in regression.
        resampled: (R, S) the metric on resamples of the examples; None: the metric is the mean of `right`, for which
            exact tests exist.
    """

    metric: Metric
    scores: np.ndarray
    n: int
    right: np.ndarray | None = None
    resampled: np.ndarray | None = None


@dataclass(frozen=True)
class Difference:
    """The first model's metric minus the second's.

    Args:
        difference: of the means over the seeds.
        interval: of the difference, 95 %.
        p: two-sided, for the hypothesis of no difference; uncorrected.
        effect: effect size: Cohen's h for a share of right answers; for other metrics Hedges' g over the seeds, None
            with one seed.
        test: the name of the test.
        n: number of examples.
        seeds: the smaller number of seeds of the two.
    """

    metric: Metric
    difference: float
    interval: tuple[float, float]
    p: float
    effect: float | None
    effect_name: str
    test: str
    n: int
    seeds: int


class _Variance(NamedTuple):
    """A variance and its degrees of freedom."""

    value: float
    df: float


def score_resampled(
    metric: Metric, scores: Callable[[np.ndarray], np.ndarray], n: int, *, right: np.ndarray | None = None
) -> Scored:
    """Score one model by any metric that is a function of example weights.

    The resamples are the same for every model with the same number of examples, so that two models can be paired.

    Args:
        metric: what `scores` computes.
        scores: maps example weights (R, n) to the metric of each seed (R, S), NaN where it is undefined.
        n: number of examples.
        right: (S, n) whether each example is right.
    """
    resampled = np.concatenate([scores(weights) for weights in resample(n, RESAMPLES, seed=0)])
    return Scored(metric, scores(np.ones((1, n)))[0], n, right, resampled)


def score_right(metric: Metric, right: np.ndarray) -> Scored:
    """Score one model by a share of right answers (S, n), such as accuracy: `compare` then uses exact tests."""
    return Scored(metric, np.asarray(right.mean(axis=1)), right.shape[1], right)


def score_seeds(targets: np.ndarray, predictions: np.ndarray, metric: Metric) -> Scored:
    """Score one classifier, ready for `compare`.

    Args:
        targets: (n,) class indices.
        predictions: (S, n, C), the probabilities of each seed.
        metric: one of `CLASSIFICATION_METRICS`.

    Raises:
        ConfigError: the metric is unknown, or the predictions cannot be scored.
    """
    look_up(CLASSIFICATION_METRICS, metric.name, "metric")
    predictions = np.asarray(predictions)
    if predictions.ndim != 3 or not len(predictions):
        raise ConfigError(
            f"predictions {predictions.shape}: wrong shape. Give (seeds, examples, classes), and at least one seed."
        )
    checked = [check_predictions(targets, each) for each in predictions]
    targets = checked[0][0]
    right = np.array([each.argmax(axis=1) == targets for _, each in checked])
    if metric.name == "accuracy":
        return score_right(metric, right)

    def scores(weights: np.ndarray) -> np.ndarray:
        by_seed = np.array([weighted_scores(targets, each, weights)[metric.name] for _, each in checked])
        return np.transpose(by_seed)

    return score_resampled(metric, scores, len(targets), right=right)


def score_sentences(counts: np.ndarray, metric: Metric) -> Scored:
    """Score one tagger, ready for `compare`; sentences are resampled.

    Args:
        counts: (S, n, 3), the `sentence_counts` of each seed: right, predicted and true entities of n sentences for
            F1; right tokens, tokens and tokens for accuracy.
        metric: what 2 · right / (predicted + true) is.

    Raises:
        ConfigError: the counts have another shape.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim != 3 or counts.shape[2] != 3 or not counts.size:
        raise ConfigError(f"counts {counts.shape}: wrong shape. Give (seeds, sentences, 3), and at least one of each.")

    def scores(weights: np.ndarray) -> np.ndarray:
        right, predicted, true = np.einsum("rn,snk->krs", weights, counts)
        f1: np.ndarray = np.divide(2 * right, predicted + true, out=np.zeros_like(right), where=predicted + true > 0)
        return f1

    whole = (counts[:, :, 0] == counts[:, :, 1]) & (counts[:, :, 0] == counts[:, :, 2])
    return score_resampled(metric, scores, counts.shape[1], right=whole)


def seed_interval(scores: Sequence[float] | np.ndarray, metric: Metric) -> tuple[float, float] | None:
    """Student's 95 % interval of the mean over seeds, within the metric's bounds; None with a single seed."""
    from scipy.special import stdtrit

    if len(scores) < 2:
        return None
    margin = stdtrit(len(scores) - 1, (1 + LEVEL) / 2) * np.std(scores, ddof=1) / np.sqrt(len(scores))
    lowest, highest = metric.bounds
    return float(max(np.mean(scores) - margin, lowest)), float(min(np.mean(scores) + margin, highest))


def score_interval(scored: Scored) -> tuple[float, float]:
    """A 95 % interval of the mean score: Student's over seeds; with one seed, Wilson's or the bootstrap's over rows."""
    over_seeds = seed_interval(scored.scores, scored.metric)
    if over_seeds is not None:
        return over_seeds
    if scored.resampled is None:
        assert scored.right is not None
        return wilson_interval(int(scored.right.sum()), scored.n)
    low, high = np.nanquantile(scored.resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return low, high


def compare(first: Scored, second: Scored) -> Difference:
    """Compare two models on the same examples.

    A share of right answers with one seed each: McNemar's exact test, and Agresti and Min's interval of the paired
    difference, which is not empty where no answer differs; close to the significance level the two can disagree.
    Otherwise: Student's t with a variance that adds the examples' part (of the paired differences, or of the paired
    bootstrap) and the seeds' part, minus what both count (examples and seeds are crossed), and Satterthwaite's degrees
    of freedom. The seeds of the two models are independent draws, even where the numbers are equal.

    Raises:
        ConfigError: the metrics or the numbers of examples differ.

    Source: McNemar (1947); Agresti & Min (2005), Statistics in Medicine 24:729; Owen (2007), The pigeonhole bootstrap,
    Annals of Applied Statistics 1:386, for the crossed variance; Satterthwaite (1946), Biometrics Bulletin 2:110;
    Efron & Tibshirani (1993), chapter 6, for the bootstrap's variance.
    """
    if first.metric != second.metric or first.n != second.n:
        raise ConfigError(
            f"{first.metric.name} on {first.n} examples and {second.metric.name} on {second.n} cannot be compared. "
            "Score both models by the same metric on the same examples."
        )
    difference = float(first.scores.mean() - second.scores.mean())
    effect: float | None
    if first.resampled is None:
        p, interval, test = _compare_right(first, second, difference)
        effect, effect_name = cohen_h(first.scores.mean(), second.scores.mean()), "Cohen's h"
    else:
        p, interval, test = _compare_resampled(first, second, difference)
        effect, effect_name = hedges_g(first.scores, second.scores), "Hedges' g"
    lowest, highest = first.metric.bounds
    interval = max(interval[0], lowest - highest), min(interval[1], highest - lowest)  # Student's t is unbounded
    seeds = min(len(first.scores), len(second.scores))
    return Difference(first.metric, difference, interval, p, effect, effect_name, test, first.n, seeds)


def versus(model: Scored, baseline: Scored) -> Versus | None:
    """Compare a model with a baseline; see `compare`. None if a score is undefined, or with a single example."""
    if model.n < 2 or np.isnan([*model.scores, *baseline.scores]).any():
        return None
    found = compare(model, baseline)
    return Versus(difference=found.difference, interval=found.interval, p=found.p, test=found.test)


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """McNemar's exact two-sided p from paired right answers (n,), over the examples where only one model is right."""
    from scipy.special import bdtr

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    # both tails of a binomial with probability 1/2
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for multiple comparisons, each at most 1.

    Source: Holm (1979), Scandinavian Journal of Statistics 6:65.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(stepped, 1)
    return [float(each) for each in corrected]


def cohen_h(first: float, second: float) -> float:
    """2·asin √p₁ − 2·asin √p₂: 0.2 is small, 0.5 medium, 0.8 large. Source: Cohen (1988), chapter 6."""
    return float(2 * np.arcsin(np.sqrt(first)) - 2 * np.arcsin(np.sqrt(second)))


def hedges_g(first: np.ndarray, second: np.ndarray) -> float | None:
    """Hedges' g: the difference in standard deviations over the seeds, corrected for few seeds; None without variance.

    Source: Hedges (1981), Journal of Educational Statistics 6:107.
    """
    df = len(first) + len(second) - 2
    if min(len(first), len(second)) < 2:
        return None
    pooled = np.sqrt((((first - first.mean()) ** 2).sum() + ((second - second.mean()) ** 2).sum()) / df)
    return float((first.mean() - second.mean()) / pooled * (1 - 3 / (4 * df - 1))) if pooled > 0 else None


def verdict(difference: Difference, p: float) -> str:
    """`better` (the first model is), `worse` or `NO_DIFFERENCE`, by the corrected p and the interval."""
    low, high = difference.interval
    if p >= ALPHA or low <= 0 <= high:
        return NO_DIFFERENCE
    return "better" if (difference.difference > 0) == difference.metric.higher_is_better else "worse"


def sentence(first: str, second: str, difference: Difference, p: float) -> str:
    """Describe the comparison of two named models in words; `p` is the corrected one."""
    outcome = verdict(difference, p)
    opening = (
        f"{first} and {second} are {NO_DIFFERENCE}"
        if outcome == NO_DIFFERENCE
        else f"{first} is {outcome} than {second}"
    )
    metric = difference.metric
    shift, low, high = (_signed(each, metric) for each in (difference.difference, *difference.interval))
    shown = " ".join(part for part in (metric.name.replace("_", " "), shift, metric.unit) if part)
    return f"{opening}: {shown} (95 % interval {low} to {high}; p {p_text(p)} after Holm's correction)."


def _signed(difference: float, metric: Metric) -> str:
    value = metric.scale * difference
    if not metric.unit:  # the targets' own unit can have any magnitude
        return f"{value:+.3g}".replace("-", "−")
    digits = 1 if abs(value) >= 0.095 or value == 0 else 3
    return f"{value:+.{digits}f}".replace("-", "−")


def p_text(p: float) -> str:
    """As `= 0.049`, or `< 0.0001`."""
    digits = 4 if p < 0.01 else 3 if p < 0.1 else 2  # 0.049 is not 0.05
    return "< 0.0001" if p < 1e-4 else f"= {p:.{digits}f}"


def _compare_right(first: Scored, second: Scored, difference: float) -> tuple[float, tuple[float, float], str]:
    """p, interval and test of a difference between shares of right answers."""
    assert first.right is not None and second.right is not None
    if len(first.right) == len(second.right) == 1:
        return (
            mcnemar(first.right[0], second.right[0]),
            _agresti_min(first.right[0], second.right[0]),
            "McNemar, exact",
        )
    centre, examples = _paired_examples(first.right, second.right)
    seeds = [_seeds_of_right(first.right, first.scores), _seeds_of_right(second.right, second.scores)]
    variance = _crossed(examples, seeds)
    return *_student(difference, centre, variance), "paired t over examples and seeds"


def _compare_resampled(first: Scored, second: Scored, difference: float) -> tuple[float, tuple[float, float], str]:
    """p, interval and test of a difference between resampled metrics."""
    assert first.resampled is not None and second.resampled is not None
    paired = first.resampled.mean(axis=1) - second.resampled.mean(axis=1)  # (R, S) -> (R,)
    examples = _Variance(float(np.nanvar(paired, ddof=1)), first.n - 1)
    resampled = [(first.resampled, first.scores), (second.resampled, second.scores)]
    parts = [_seeds_of_resampled(drawn, scores) for drawn, scores in resampled if len(scores) > 1]
    test = "paired bootstrap over examples" + (", and seeds" if parts else "")
    return *_student(difference, difference, _crossed(examples, parts)), test


def _agresti_min(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    centre, variance = _paired_examples(first[None], second[None])
    return _student(float(first.mean() - second.mean()), centre, _Variance(variance.value, np.inf))[1]


def _paired_examples(first: np.ndarray, second: np.ndarray) -> tuple[float, _Variance]:
    """Centre of the difference between two accuracies, and the examples' part of its variance; (S, n) each.

    Agresti and Min add two pairs, half a pair for each of the four outcomes: the pairs that disagree add 0 to the sum
    and 1 to the sum of squares.
    """
    paired = first.mean(axis=0) - second.mean(axis=0)  # (S, n) -> (n,)
    n = len(paired) + 2
    centre = paired.sum() / n
    return float(centre), _Variance(float(((paired**2).sum() + 1) / n - centre**2) / n, n - 3)


def _seeds_of_right(right: np.ndarray, scores: np.ndarray) -> tuple[_Variance, float]:
    """The seeds' part of the variance of a mean accuracy, and how much of it the examples' part already counts."""
    S, n = right.shape
    if S < 2:
        return _Variance(0.0, np.inf), 0.0
    right = right.astype(float)
    rest = right - right.mean(axis=0) - right.mean(axis=1, keepdims=True) + right.mean()
    mean_square = (rest**2).sum() / ((S - 1) * max(n - 1, 1))
    return _Variance(float(scores.var(ddof=1)) / S, S - 1), float(mean_square) / (n * S)


def _seeds_of_resampled(resampled: np.ndarray, scores: np.ndarray) -> tuple[_Variance, float]:
    """The same for a resampled metric (R, S): both parts count how the seeds' scores diverge over the resamples."""
    S = len(scores)
    apart = resampled - resampled.mean(axis=1, keepdims=True)
    shared = np.nanvar(apart, axis=0, ddof=1).sum() / (S - 1) / S
    return _Variance(float(scores.var(ddof=1)) / S, S - 1), float(shared)


def _crossed(examples: _Variance, seeds: list[tuple[_Variance, float]]) -> _Variance:
    """Examples' part + seeds' parts − what both count; never below the examples' part."""
    added = sum(part.value for part, _ in seeds) - sum(shared for _, shared in seeds)
    if added <= 0:
        return examples
    total = examples.value + added
    parts = (examples, *(part for part, _ in seeds))
    return _Variance(total, total**2 / sum(part.value**2 / part.df for part in parts))


def _student(difference: float, centre: float, variance: _Variance) -> tuple[float, tuple[float, float]]:
    """The two-sided p of `centre`, and its interval, widened to include `difference`."""
    from scipy.special import stdtr, stdtrit  # Student's distribution and its inverse

    error = np.sqrt(variance.value)
    if error == 0:
        return float(difference == 0), (difference, difference)
    margin = stdtrit(variance.df, (1 + LEVEL) / 2) * error
    p = 2 * stdtr(variance.df, -abs(centre) / error)
    return float(p), (float(min(centre - margin, difference)), float(max(centre + margin, difference)))
