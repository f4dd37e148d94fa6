"""Metrics of predicted tags: over tokens, over sentences, and over the entities that the tags mark."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pydantic import model_validator

from ostinato.errors import ConfigError, look_up
from ostinato.evaluation.bootstrap import resample
from ostinato.evaluation.metrics import calibration_bins
from ostinato.evaluation.results import Metric, Metrics, Scores
from ostinato.tasks.tagging.schemes import SCHEMES, Entity, conlleval_entities, entities

CONFUSIONS = 20

TAGGING_METRICS: dict[str, Metric] = {"f1": Metric("f1"), "accuracy": Metric("accuracy")}

Tags = Sequence[Sequence[str]]
Reading = Callable[[Sequence[str], str], list[Entity]]

READINGS: dict[str, Reading] = {"strict": entities, "conlleval": lambda tags, scheme: conlleval_entities(tags)}


class TypeScores(Scores):
    """Precision, recall and F1 of one entity type (0 if the denominator is 0), and its number of true entities."""

    precision: float
    recall: float
    f1: float
    support: int


class EntityMetrics(Scores):
    """Precision, recall and F1 of entities. An entity is correct if its type, first and last token are.

    A ratio whose denominator is 0 is 0.

    Args:
        precision, recall, f1: over all entities (micro).
        macro_f1: the mean over the types in targets or predictions.
        by_type: the scores of each type.
        scheme, reading: as passed to `entity_metrics`.
    """

    precision: float
    recall: float
    f1: float
    macro_f1: float
    by_type: dict[str, TypeScores]
    scheme: str
    reading: str


class TaggingMetrics(Metrics):
    """Metrics of predicted tags: accuracy over tokens and sentences and, with a scheme, the metrics of entities.

    Args:
        n: number of sentences.
        accuracy: over tokens.
        accuracy_unknown: over out-of-vocabulary tokens; None if there are none.
        unknown_tokens: number of out-of-vocabulary tokens; None if the vocabulary is not known.
        sentence_accuracy: share of sentences whose tags are all correct.
        confusion: the most frequent pairs of a true tag and a wrong prediction, with their count.
        num_tokens, num_sentences: number of scored tokens and sentences.
        precision, recall, f1, macro_f1, by_type, scheme, reading: as in `EntityMetrics`; None without a scheme.
        ece: expected calibration error of the predicted tags; None without their probabilities.
    """

    accuracy: float
    accuracy_unknown: float | None
    unknown_tokens: int | None
    sentence_accuracy: float
    confusion: list[tuple[str, str, int]]
    num_tokens: int
    num_sentences: int
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    macro_f1: float | None = None
    by_type: dict[str, TypeScores] | None = None
    scheme: str | None = None
    reading: str | None = None
    ece: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_version_0_1(cls, values: Any) -> Any:
        """Version 0.1 wrote `num_sentences`, but not `n`."""
        if isinstance(values, dict) and "num_sentences" in values:
            return {"n": values["num_sentences"], **values}
        return values


def entity_metrics(targets: Tags, predictions: Tags, *, scheme: str, reading: str = "strict") -> EntityMetrics:
    """Score the entities that predicted tags mark.

    Args:
        targets: the true tags of each sentence.
        predictions: the predicted tags of each sentence.
        scheme: `iob1`, `iob2`, `bioes` or `bilou`.
        reading: `strict`: only well-formed entities count; `conlleval`: ill-formed tags are repaired as by that script,
            which reproduces its scores (except that it prints percentages).

    Raises:
        ConfigError: targets and predictions differ in length, there are no sentences, or a name is unknown.
        DataError: a tag does not belong to the scheme.
    """
    look_up(SCHEMES, scheme, "tagging scheme")
    read = look_up(READINGS, reading, "reading")
    right, predicted, gold = _by_type(targets, predictions, lambda tags: read(tags, scheme))
    by_type = {
        type_: TypeScores(**_scores(right[type_], predicted[type_], gold[type_]), support=gold[type_])
        for type_ in sorted(predicted | gold)
    }
    return EntityMetrics(
        **_scores(right.total(), predicted.total(), gold.total()),
        macro_f1=float(np.mean([scores.f1 for scores in by_type.values()])) if by_type else 0.0,
        by_type=by_type,
        scheme=scheme,
        reading=reading,
    )


def tagging_metrics(
    targets: Tags, predictions: Tags, *, known: Sequence[Sequence[bool]] | None, scheme: str | None, tags: Sequence[str]
) -> TaggingMetrics:
    """Score predicted tags by token, by sentence and, with a scheme, by entity.

    Args:
        targets: the true tags of each sentence.
        predictions: the predicted tags of each sentence.
        known: whether each word is in the training vocabulary, for `accuracy_unknown`; None: not computed.
        scheme: of entity tags; None: the tags do not mark entities, such as parts of speech.
        tags: all tags, in an order that breaks ties between equally frequent confusions.

    Raises:
        ConfigError: targets, predictions and `known` differ in length, or there are no sentences.
        DataError: a tag does not belong to the scheme.
    """
    right = _right(targets, predictions)
    unknown = ~_flags(known, targets) if known is not None else np.zeros(len(right), dtype=bool)
    whole = [list(target) == list(prediction) for target, prediction in zip(targets, predictions, strict=True)]
    of_entities: dict[str, Any] = dict(entity_metrics(targets, predictions, scheme=scheme)) if scheme else {}
    return TaggingMetrics(
        n=len(targets),
        accuracy=float(right.mean()),
        accuracy_unknown=float(right[unknown].mean()) if unknown.any() else None,
        unknown_tokens=int(unknown.sum()) if known is not None else None,
        sentence_accuracy=float(np.mean(whole)),
        confusion=_confusions(targets, predictions, tags),
        num_tokens=len(right),
        num_sentences=len(targets),
        **of_entities,
    )


def sentence_counts(targets: Tags, predictions: Tags, scheme: str | None) -> np.ndarray:
    """Count correct, predicted and true entities in each of S sentences, (S, 3).

    The F1 of any set of sentences is 2 · correct / (predicted + true), where each count is a sum over sentences.
    Without a scheme, the counts are correct tokens, tokens and tokens, so that the same formula gives the accuracy.

    Raises:
        ConfigError: targets and predictions differ in length, there are no sentences, or the scheme is unknown.
        DataError: a tag does not belong to the scheme.
    """
    right = _right(targets, predictions)
    if scheme is None:
        lengths = np.array([len(tags) for tags in targets])
        sentence_of = np.repeat(np.arange(len(targets)), lengths)
        return np.stack([np.bincount(sentence_of[right], minlength=len(targets)), lengths, lengths], axis=1)
    pairs = [
        (set(entities(target, scheme)), set(entities(prediction, scheme)))
        for target, prediction in zip(targets, predictions, strict=True)
    ]
    return np.array([[len(gold & predicted), len(predicted), len(gold)] for gold, predicted in pairs], dtype=np.int64)


def bootstrap_sentences(counts: np.ndarray, *, seed: int = 0, resamples: int = 1000) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the micro F1, or of the accuracy for counts without a scheme.

    Sentences are resampled, not entities, because the entities of one sentence are not independent. If every entity is
    correct, all resamples agree, and the interval [1, 1] is too narrow.

    Args:
        counts: (S, 3), from `sentence_counts`.
        seed: draws the resamples.
        resamples: number of resamples of the sentences, drawn with replacement.

    Raises:
        ConfigError: `counts` has the wrong shape or no sentences, or `resamples` is below 1.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[1] != 3 or len(counts) == 0 or resamples < 1:
        raise ConfigError(
            f"counts {counts.shape}, resamples {resamples}: out of range. "
            "Expected the (S, 3) counts of `sentence_counts`, at least one sentence, and at least one resample."
        )
    drawn = [weights @ counts for weights in resample(len(counts), resamples, seed)]  # (R, S) @ (S, 3) -> (R, 3)
    right, predicted, gold = np.concatenate(drawn).T
    scores = np.divide(2 * right, predicted + gold, out=np.zeros_like(right), where=predicted + gold > 0)
    low, high = np.quantile(scores, [0.025, 0.975])
    return float(low), float(high)


def marginal_calibration(probabilities: np.ndarray, correct: np.ndarray) -> float:
    """Expected calibration error of N predicted tags: the mean distance between probability and accuracy over 15 bins.

    Unlike `expected_calibration_error`, it needs only the probability of each prediction, not of every tag.

    Args:
        probabilities: (N,) of each predicted tag.
        correct: (N,) whether it is the true one.

    Raises:
        ConfigError: shapes differ, there are no tokens, or a probability is not between 0 and 1.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017, equation 3.
    """
    probabilities, correct = np.asarray(probabilities, dtype=np.float64), np.asarray(correct)
    if probabilities.ndim != 1 or probabilities.shape != correct.shape or len(correct) == 0:
        raise ConfigError(
            f"probabilities {probabilities.shape} and correct {correct.shape}: shapes do not match. "
            "Expected (N,) and (N,), with at least one token."
        )
    lowest, highest = probabilities.min(), probabilities.max()
    if not (lowest >= 0 and highest <= 1 + 1e-6):  # a float32 sum can exceed 1 in its last digit
        raise ConfigError(
            f"probabilities from {lowest:.4g} to {highest:.4g}: out of range. "
            "Expected 0 to 1. Pass marginal probabilities, not scores."
        )
    gaps = np.bincount(calibration_bins(probabilities), weights=correct - probabilities)
    return float(np.abs(gaps).sum() / len(correct))


def commonest_tags(train: Tags, tags: Tags, test: Tags) -> list[list[str]]:
    """Tag each word with its most frequent training tag, and unknown words with the most frequent tag overall.

    Args:
        train: the words of each training sentence.
        tags: the tags of each training sentence.
        test: the words of each sentence to tag.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    overall: Counter[str] = Counter()
    for words, own in zip(train, tags, strict=True):
        overall.update(own)
        for word, tag in zip(words, own, strict=True):
            counts[word][tag] += 1
    best = {word: found.most_common(1)[0][0] for word, found in counts.items()}
    fallback = overall.most_common(1)[0][0]
    return [[best.get(word, fallback) for word in words] for words in test]


def _by_type(
    targets: Tags, predictions: Tags, read: Callable[[Sequence[str]], list[Entity]]
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Count the correct, predicted and true entities of each type."""
    _right(targets, predictions)
    right: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    gold: Counter[str] = Counter()
    for target, prediction in zip(targets, predictions, strict=True):
        is_true, is_predicted = set(read(target)), set(read(prediction))
        right.update(entity.type for entity in is_true & is_predicted)
        predicted.update(entity.type for entity in is_predicted)
        gold.update(entity.type for entity in is_true)
    return right, predicted, gold


def _scores(right: int, predicted: int, gold: int) -> dict[str, float]:
    return {
        "precision": right / predicted if predicted else 0.0,
        "recall": right / gold if gold else 0.0,
        "f1": 2 * right / (predicted + gold) if predicted + gold else 0.0,
    }


def _right(targets: Tags, predictions: Tags) -> np.ndarray:
    """Whether each of N tokens has its true tag, (N,); checks that the lengths match."""
    lengths, predicted = [len(tags) for tags in targets], [len(tags) for tags in predictions]
    if lengths != predicted:
        differing = next(
            (s for s, pair in enumerate(zip(lengths, predicted, strict=False)) if pair[0] != pair[1]), None
        )
        where = (
            f"{len(lengths)} and {len(predicted)} sentences"
            if differing is None
            else f"sentence {differing}: {lengths[differing]} and {predicted[differing]}"
        )
        raise ConfigError(f"targets and predictions differ in length ({where}). Pass one predicted tag per true tag.")
    if not sum(lengths):
        raise ConfigError("targets: 0 tokens. Pass at least one sentence.")
    pairs = zip(targets, predictions, strict=True)
    return np.array(
        [a == b for target, prediction in pairs for a, b in zip(target, prediction, strict=True)], dtype=bool
    )


def _flags(known: Sequence[Sequence[bool]], targets: Tags) -> np.ndarray:
    if [len(flags) for flags in known] != [len(tags) for tags in targets]:
        raise ConfigError(
            f"known ({sum(map(len, known))} words) and targets ({sum(map(len, targets))} tags) differ in length. "
            "Pass one flag per tag."
        )
    return np.array([flag for flags in known for flag in flags], dtype=bool)


def _confusions(targets: Tags, predictions: Tags, tags: Sequence[str]) -> list[tuple[str, str, int]]:
    """The most frequent pairs of a true tag and a wrong prediction; in a tie, tags that are not in `tags` come last."""
    order = {tag: c for c, tag in enumerate(tags)}
    pairs = Counter(
        pair
        for target, prediction in zip(targets, predictions, strict=True)
        for pair in zip(target, prediction, strict=True)
    )
    wrong = [(target, prediction, count) for (target, prediction), count in pairs.items() if target != prediction]

    def rank(confusion: tuple[str, str, int]) -> tuple[int, int, int, str, str]:
        target, prediction, count = confusion
        return -count, order.get(target, len(order)), order.get(prediction, len(order)), target, prediction

    return sorted(wrong, key=rank)[:CONFUSIONS]
