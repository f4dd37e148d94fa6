"""Whether two models differ: paired on the same examples, over the seeds of each, corrected for many comparisons.

Two things vary and neither is of interest: which examples the test split happens to hold, and which weights a training
happens to start from. Both are counted, so a difference that is found should be there again with other examples and
another seed. With one seed only the examples are counted, and what is said is said of those two trainings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ostinato.errors import ConfigError, look_up
from ostinato.evaluation.bootstrap import resample
from ostinato.evaluation.metrics import check_predictions, weighted_scores

RESAMPLES = 2000
LEVEL = 0.95
ALPHA = 0.05  # a difference with a larger p is not told apart from none
METRICS = {  # the larger, the better? and a unit of the difference as it is told: how many to 1, and its name
    "accuracy": (True, 100, "points"),
    "balanced_accuracy": (True, 100, "points"),
    "macro_f1": (True, 100, "points"),
    "mcc": (True, 100, "points"),
    "auroc": (True, 100, "points"),
    "average_precision": (True, 100, "points"),
    "log_loss": (False, 1, "nats"),
    "f1": (True, 100, "points"),
}
METRICS_OF = {"classification": [name for name in METRICS if name != "f1"], "tagging": ["f1", "accuracy"]}
BOUNDS = {"mcc": (-1.0, 1.0), "log_loss": (0.0, np.inf)}  # of a metric's values; all others lie between 0 and 1


@dataclass(frozen=True)
class Scored:
    """One model's answers to the test split, of each of its seeds.

    Args:
        scores: (S,) the metric of each seed.
        right: (S, n) whether each answer is right; of a tagger, whether the whole sentence is.
        resampled: (R, S) the metric on resamples of the examples; None for classifiers' accuracy, which needs none.
    """

    metric: str
    scores: np.ndarray
    right: np.ndarray
    resampled: np.ndarray | None


@dataclass(frozen=True)
class Difference:
    """The first model's metric less the second's.

    Args:
        difference: of the means over the seeds.
        interval: of the difference, 95 %.
        p: two-sided, of no difference; not corrected.
        effect: its size: Cohen's h for accuracy; for other metrics Hedges' g over the seeds, None with one seed.
        test: what was done.
    """

    metric: str
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


def score_seeds(targets: np.ndarray, predictions: np.ndarray, metric: str = "accuracy") -> Scored:
    """Score one model, ready to be compared; the resamples are the same for every model of the same targets.

    Args:
        targets: (n,) class indices.
        predictions: (S, n, C), the probabilities of each seed.
        metric: one of `METRICS`.

    Raises:
        ConfigError: the metric is unknown, or the predictions cannot be scored.
    """
    look_up(METRICS, metric, "metric")
    predictions = np.asarray(predictions)
    if predictions.ndim != 3 or not len(predictions):
        raise ConfigError(
            f"predictions {predictions.shape} do not fit. Give shape (seeds, examples, classes), and at least one seed."
        )
    checked = [check_predictions(targets, each) for each in predictions]
    targets, ones = checked[0][0], np.ones((1, len(checked[0][0])))
    right = np.array([each.argmax(axis=1) == targets for _, each in checked])
    scores = np.array([weighted_scores(targets, each, ones)[metric][0] for _, each in checked])
    resampled = None
    if metric != "accuracy":
        chunks = [
            [weighted_scores(targets, each, weights)[metric] for _, each in checked]
            for weights in resample(len(targets), RESAMPLES, seed=0)
        ]
        resampled = np.concatenate(chunks, axis=1).T
    return Scored(metric, scores, right, resampled)


def score_sentences(counts: np.ndarray, metric: str) -> Scored:
    """Score one tagger, ready to be compared; the resamples are of sentences, the same for every tagger of the same ones.

    Args:
        counts: (S, n, 3), of each seed what `sentence_counts` gives: right, predicted and true entities of n sentences
            for `f1`; right tokens, tokens and tokens for `accuracy`.

    Raises:
        ConfigError: the counts have another shape.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim != 3 or counts.shape[2] != 3 or not counts.size:
        raise ConfigError(
            f"counts {counts.shape} do not fit. Give shape (seeds, sentences, 3), and at least one of each."
        )

    def scores(weights: np.ndarray) -> np.ndarray:
        """(R, n) -> (R, S)."""
        right, predicted, true = np.einsum("rn,snk->krs", weights, counts)
        found: np.ndarray = np.divide(2 * right, predicted + true, out=np.zeros_like(right), where=predicted + true > 0)
        return found

    n = counts.shape[1]
    resampled = np.concatenate([scores(np.asarray(weights)) for weights in resample(n, RESAMPLES, seed=0)])
    whole = (counts[:, :, 0] == counts[:, :, 1]) & (counts[:, :, 0] == counts[:, :, 2])
    return Scored(metric, scores(np.ones((1, n)))[0], whole, resampled)


def seed_interval(scores: Sequence[float] | np.ndarray, metric: str = "accuracy") -> tuple[float, float] | None:
    """Student's 95 % interval of the mean over seeds, within the metric's bounds; None with one seed, which tells nothing of others."""
    from scipy.special import stdtrit

    if len(scores) < 2:
        return None
    margin = stdtrit(len(scores) - 1, (1 + LEVEL) / 2) * np.std(scores, ddof=1) / np.sqrt(len(scores))
    lowest, highest = BOUNDS.get(metric, (0.0, 1.0))
    return float(max(np.mean(scores) - margin, lowest)), float(min(np.mean(scores) + margin, highest))


def compare(first: Scored, second: Scored) -> Difference:
    """Compare two models on the same examples.

    Accuracy with one seed each: McNemar's exact test, and Agresti and Min's interval of the paired difference, which
    is not empty where no answer differs; the two may disagree by a hair at the border. Everything else: Student's t
    with a variance that adds the examples' part (for accuracy of the paired differences, for other metrics of the
    paired bootstrap) and the seeds' part, less what both count (examples and seeds are crossed); the degrees of
    freedom are Satterthwaite's. The two models' seeds are independent draws, whatever their numbers.

    Raises:
        ConfigError: the two were not scored by the same metric on as many examples.

    Source: McNemar (1947); Agresti & Min (2005), Statistics in Medicine 24:729; Owen (2007), The pigeonhole bootstrap,
    Annals of Applied Statistics 1:386, for the crossed variance; Satterthwaite (1946), Biometrics Bulletin 2:110;
    Efron & Tibshirani (1993), chapter 6, for the bootstrap's variance.
    """
    n = first.right.shape[1]
    if first.metric != second.metric or second.right.shape[1] != n:
        raise ConfigError(
            f"{first.metric} on {n} examples and {second.metric} on {second.right.shape[1]}: not to be compared. Score both alike."
        )
    accuracy = first.resampled is None
    difference = float(first.scores.mean() - second.scores.mean())
    seeds = min(len(first.scores), len(second.scores))
    if accuracy and len(first.scores) == len(second.scores) == 1:
        p, interval, test = (
            mcnemar(first.right[0], second.right[0]),
            _agresti_min(first.right[0], second.right[0]),
            "McNemar, exact",
        )
    elif accuracy:
        centre, examples = _paired_examples(first.right, second.right)
        p, interval = _student(
            difference, centre, _crossed(examples, [_seeds_of_accuracy(each) for each in (first, second)])
        )
        test = "paired t over examples and seeds"
    else:
        examples = _Variance(_bootstrap_variance(first, second), n - 1)
        parts = [_seeds_of_resampled(each) for each in (first, second) if len(each.scores) > 1]
        p, interval = _student(difference, difference, _crossed(examples, parts))
        test = "paired bootstrap over examples" + (", and seeds" if parts else "")
    effect = cohen_h(first.scores.mean(), second.scores.mean()) if accuracy else hedges_g(first.scores, second.scores)
    lowest, highest = BOUNDS.get(first.metric, (0.0, 1.0))
    interval = max(interval[0], lowest - highest), min(interval[1], highest - lowest)  # Student knows no bounds
    return Difference(
        first.metric, difference, interval, p, effect, "Cohen's h" if accuracy else "Hedges' g", test, n, seeds
    )


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """The exact two-sided p of paired right answers (n,): of those where one model alone is right, as many each way?"""
    from scipy.special import bdtr

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    return min(
        1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5))
    )  # both tails of a binomial of one half


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values corrected for their number, each at most 1. Source: Holm (1979), Scandinavian Journal of Statistics 6:65."""
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
    """The difference in standard deviations over the seeds, corrected for their number; None where nothing varies.

    Source: Hedges (1981), Journal of Educational Statistics 6:107.
    """
    df = len(first) + len(second) - 2
    if min(len(first), len(second)) < 2:
        return None
    pooled = np.sqrt((((first - first.mean()) ** 2).sum() + ((second - second.mean()) ** 2).sum()) / df)
    return float((first.mean() - second.mean()) / pooled * (1 - 3 / (4 * df - 1))) if pooled > 0 else None


def verdict(difference: Difference, p: float) -> str:
    """`better` (the first is), `worse` or `not told apart`, by the corrected p.

    At the border the interval has a say too: no winner is named inside it.
    """
    low, high = difference.interval
    if p >= ALPHA or low <= 0 <= high:
        return "not told apart"
    return "better" if (difference.difference > 0) == METRICS[difference.metric][0] else "worse"


def sentence(first: str, second: str, difference: Difference, p: float) -> str:
    """What a pair of models shows, in words; `p` is the corrected one."""
    told = verdict(difference, p)
    _, scale, unit = METRICS[difference.metric]
    shift, low, high = (scale * value for value in (difference.difference, *difference.interval))
    name = difference.metric.replace("_", " ")
    opening = (
        f"{first} and {second} are not told apart by this data"
        if told == "not told apart"
        else f"{first} is {told} than {second}"
    )
    return f"{opening}: {name} {_signed(shift)} {unit} (95 % interval {_signed(low)} to {_signed(high)}; p {_p(p)} after Holm's correction)."


def _signed(value: float) -> str:
    digits = 1 if abs(value) >= 0.095 or value == 0 else 3
    return f"{value:+.{digits}f}".replace("-", "−")


def _p(p: float) -> str:
    digits = 4 if p < 0.01 else 3 if p < 0.1 else 2  # 0.049 is not 0.05
    return "< 0.0001" if p < 1e-4 else f"= {p:.{digits}f}"


def _agresti_min(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    centre, variance = _paired_examples(first[None], second[None])
    return _student(float(first.mean() - second.mean()), centre, _Variance(variance.value, np.inf))[1]


def _paired_examples(first: np.ndarray, second: np.ndarray) -> tuple[float, _Variance]:
    """The examples' part of the accuracies' difference, right answers (S, n) given: its centre and variance.

    Agresti and Min's two pairs more, half a pair for each outcome: those that disagree add 0 to the sum and 1 to the squares.
    """
    paired = first.mean(axis=0) - second.mean(axis=0)  # (S, n) -> (n,)
    n = len(paired) + 2
    centre = paired.sum() / n
    return float(centre), _Variance(float(((paired**2).sum() + 1) / n - centre**2) / n, n - 3)


def _seeds_of_accuracy(model: Scored) -> tuple[_Variance, float]:
    """The seeds' part of the variance of a model's mean accuracy, and what of it the examples' part counts too."""
    S, n = model.right.shape
    if S < 2:
        return _Variance(0.0, np.inf), 0.0
    right = model.right.astype(float)
    rest = right - right.mean(axis=0) - right.mean(axis=1, keepdims=True) + right.mean()
    mean_square = (rest**2).sum() / ((S - 1) * max(n - 1, 1))
    return _Variance(float(model.scores.var(ddof=1)) / S, S - 1), float(mean_square) / (n * S)


def _seeds_of_resampled(model: Scored) -> tuple[_Variance, float]:
    """The same of another metric: what both parts count is how the seeds' scores vary apart over the resamples."""
    assert model.resampled is not None
    S = len(model.scores)
    apart = model.resampled - model.resampled.mean(axis=1, keepdims=True)  # (R, S)
    shared = np.nanvar(apart, axis=0, ddof=1).sum() / (S - 1) / S
    return _Variance(float(model.scores.var(ddof=1)) / S, S - 1), float(shared)


def _bootstrap_variance(first: Scored, second: Scored) -> float:
    assert first.resampled is not None and second.resampled is not None
    return float(np.nanvar(first.resampled.mean(axis=1) - second.resampled.mean(axis=1), ddof=1))


def _crossed(examples: _Variance, seeds: list[tuple[_Variance, float]]) -> _Variance:
    """Examples' part + seeds' parts − what both count; never below the examples' part."""
    beyond = sum(part.value for part, _ in seeds) - sum(shared for _, shared in seeds)
    if beyond <= 0:
        return examples
    total = examples.value + beyond
    return _Variance(
        total, total**2 / sum(part.value**2 / part.df for part in (examples, *(part for part, _ in seeds)))
    )


def _student(difference: float, centre: float, variance: _Variance) -> tuple[float, tuple[float, float]]:
    """The two-sided p of `centre`, and its interval widened to hold `difference`."""
    from scipy.special import stdtr, stdtrit  # Student's distribution and its inverse

    error = np.sqrt(variance.value)
    if error == 0:
        return float(difference == 0), (difference, difference)
    margin = stdtrit(variance.df, (1 + LEVEL) / 2) * error
    p = 2 * stdtr(variance.df, -abs(centre) / error)
    return float(p), (float(min(centre - margin, difference)), float(max(centre + margin, difference)))
