"""Metrics of predicted tags: of tokens, of sentences, and of the entities that the tags spell."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ostinato.data.schemes import SCHEMES, Entity, conlleval_entities, entities
from ostinato.errors import ConfigError, look_up
from ostinato.evaluation.bootstrap import resample
from ostinato.evaluation.metrics import CALIBRATION_BINS

CONFUSIONS = 20

Tags = Sequence[Sequence[str]]
Reading = Callable[[Sequence[str], str], list[Entity]]

READINGS: dict[str, Reading] = {"strict": entities, "conlleval": lambda tags, scheme: conlleval_entities(tags)}


def entity_metrics(targets: Tags, predictions: Tags, *, scheme: str, reading: str = "strict") -> dict[str, Any]:
    """Precision, recall and F1 of entities: one is right when its type, first and last token are.

    Without a name before them they count all entities alike (micro); `macro_f1` is the mean over the types in targets
    or predictions. A ratio whose denominator is 0 is 0.

    Args:
        targets: the tags of each sentence.
        predictions: likewise.
        scheme: `iob1`, `iob2` or `bioes`.
        reading: `strict`: only well-formed entities count; `conlleval`: what is ill-formed is mended as that script
            does, which gives its figures (there in percent).

    Raises:
        ConfigError: targets and predictions differ in length, there is no sentence, or a name is unknown.
        DataError: a tag is not one of the scheme's.
    """
    look_up(SCHEMES, scheme, "tagging scheme")
    read = look_up(READINGS, reading, "reading")
    right, predicted, gold = _by_type(targets, predictions, lambda tags: read(tags, scheme))
    by_type = {
        type_: {**_scores(right[type_], predicted[type_], gold[type_]), "support": gold[type_]}
        for type_ in sorted(predicted | gold)
    }
    return {
        **_scores(right.total(), predicted.total(), gold.total()),
        "macro_f1": float(np.mean([scores["f1"] for scores in by_type.values()])) if by_type else 0.0,
        "by_type": by_type,
        "scheme": scheme,
        "reading": reading,
    }


def tagging_metrics(
    targets: Tags, predictions: Tags, *, known: Sequence[Sequence[bool]] | None, scheme: str | None, tags: Sequence[str]
) -> dict[str, Any]:
    """Shares of tokens and of whole sentences tagged right, the most frequent confusions, and `entity_metrics` where there is a scheme.

    Args:
        targets: the tags of each sentence.
        predictions: likewise.
        known: whether each word is in the training vocabulary; gives `accuracy_unknown`, over those outside (None: there are none).
        scheme: of entity tags; None: the tags stand for themselves, as parts of speech do.
        tags: all tags in their order, in which equally frequent confusions are listed.

    Returns:
        Plain numbers, lists and dicts, ready for JSON. `confusion` lists target, prediction and how often.

    Raises:
        ConfigError: targets, predictions and `known` differ in length, or there is no sentence.
        DataError: a tag is not one of the scheme's.
    """
    right = _right(targets, predictions)
    unknown = ~_flags(known, targets) if known is not None else np.zeros(len(right), dtype=bool)
    return {
        "accuracy": float(right.mean()),
        "accuracy_unknown": float(right[unknown].mean()) if unknown.any() else None,
        "unknown_tokens": int(unknown.sum()) if known is not None else None,
        "sentence_accuracy": float(
            np.mean([list(target) == list(prediction) for target, prediction in zip(targets, predictions, strict=True)])
        ),
        "confusion": _confusions(targets, predictions, tags),
        "num_tokens": len(right),
        "num_sentences": len(targets),
        **(entity_metrics(targets, predictions, scheme=scheme) if scheme is not None else {}),
    }


def sentence_counts(targets: Tags, predictions: Tags, scheme: str | None) -> np.ndarray:
    """Right, predicted and true entities of each of S sentences (S, 3): the F1 of any sentences is 2 · right / (predicted + true) of their sums.

    Without a scheme they are right tokens, tokens and tokens, so that the same formula gives the accuracy.

    Raises:
        ConfigError: targets and predictions differ in length, there is no sentence, or the scheme is unknown.
        DataError: a tag is not one of the scheme's.
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
    """The 95 % interval of the micro F1 (of the accuracy, where `sentence_counts` had no scheme), by the percentile bootstrap over sentences.

    Sentences are drawn, not entities, since those of one sentence stand and fall together. Where every entity is
    right all resamples agree, and the interval [1, 1] claims more than is known.

    Args:
        counts: (S, 3), of `sentence_counts`.
        seed: draws the resamples.
        resamples: drawn from the sentences, with replacement.

    Raises:
        ConfigError: `counts` has another shape or no sentence, or `resamples` is below 1.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[1] != 3 or len(counts) == 0 or resamples < 1:
        raise ConfigError(
            f"counts {counts.shape}, resamples {resamples}: not usable. Give the (S, 3) of sentence_counts, one sentence or more, and a resample."
        )
    right, predicted, gold = np.concatenate(
        [weights @ counts for weights in resample(len(counts), resamples, seed)]
    ).T  # (R, S) @ (S, 3) -> 3 of (R,)
    scores = np.divide(2 * right, predicted + gold, out=np.zeros_like(right), where=predicted + gold > 0)
    low, high = np.quantile(scores, [0.025, 0.975])
    return float(low), float(high)


def marginal_calibration(probabilities: np.ndarray, correct: np.ndarray) -> float:
    """Expected calibration error of N predicted tags: the mean distance, over 15 bins of probability, to the share that is right.

    Unlike `expected_calibration_error`, it needs each prediction's probability alone, not a whole row.

    Args:
        probabilities: (N,) of each predicted tag.
        correct: (N,) whether it is the true one.

    Raises:
        ConfigError: shapes differ, there is no token, or a probability is not within 0 and 1.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017, equation 3.
    """
    probabilities, correct = np.asarray(probabilities, dtype=np.float64), np.asarray(correct)
    if probabilities.ndim != 1 or probabilities.shape != correct.shape or len(correct) == 0:
        raise ConfigError(
            f"probabilities {probabilities.shape} and correct {correct.shape} do not fit. Give (N,) and (N,), and at least one token."
        )
    if not (
        probabilities.min() >= 0 and probabilities.max() <= 1 + 1e-6
    ):  # a sum of float32 may pass 1 in its last digit
        raise ConfigError(
            f"probabilities from {probabilities.min():.4g} to {probabilities.max():.4g} are none. Expected 0 to 1: give marginals, not scores."
        )
    bin_of = np.clip(np.ceil(probabilities * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)
    return float(np.abs(np.bincount(bin_of, weights=correct - probabilities)).sum() / len(correct))


def _by_type(
    targets: Tags, predictions: Tags, read: Callable[[Sequence[str]], list[Entity]]
) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """How many entities of each type are right, predicted and true."""
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
    """Whether each of N tokens has its true tag (N,), once the lengths are known to fit."""
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
        raise ConfigError(f"targets and predictions do not fit ({where}). Give one predicted tag for each true one.")
    if not sum(lengths):
        raise ConfigError("targets hold no tokens. Give at least one sentence.")
    pairs = zip(targets, predictions, strict=True)
    return np.array(
        [a == b for target, prediction in pairs for a, b in zip(target, prediction, strict=True)], dtype=bool
    )


def _flags(known: Sequence[Sequence[bool]], targets: Tags) -> np.ndarray:
    if [len(flags) for flags in known] != [len(tags) for tags in targets]:
        raise ConfigError(
            f"known ({sum(map(len, known))} words) and targets ({sum(map(len, targets))} tags) do not fit. Give one flag for each tag."
        )
    return np.array([flag for flags in known for flag in flags], dtype=bool)


def _confusions(targets: Tags, predictions: Tags, tags: Sequence[str]) -> list[list[Any]]:
    """The most frequent pairs of a true and another predicted tag; a tag that training never saw comes last."""
    order = {tag: c for c, tag in enumerate(tags)}
    pairs = Counter(
        pair
        for target, prediction in zip(targets, predictions, strict=True)
        for pair in zip(target, prediction, strict=True)
    )
    wrong = [(target, prediction, count) for (target, prediction), count in pairs.items() if target != prediction]
    ranked = sorted(
        wrong, key=lambda each: (-each[2], order.get(each[0], len(order)), order.get(each[1], len(order)), each[:2])
    )
    return [list(each) for each in ranked[:CONFUSIONS]]
