"""What a recurrent model must beat: the majority class, and a linear model of n-grams, positions or summaries."""

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ostinato.errors import ConfigError, DataError, look_up
from ostinato.evaluation.metrics import log_losses

C_GRID = (0.1, 1.0, 10.0, 100.0)
FOLDS = 3


def majority_baseline(train_targets: np.ndarray, test_targets: np.ndarray, num_classes: int) -> np.ndarray:
    """Predict each class with its share of the training targets, whatever the sequence.

    Shapes: (B_train,), (B_test,) -> (B_test, num_classes)
    """
    shares = np.bincount(train_targets, minlength=num_classes) / len(train_targets)
    return np.tile(shares, (len(test_targets), 1))


@dataclass(frozen=True)
class LinearBaseline:
    """Features and a logistic regression, both fitted on the training split."""

    description: str
    num_classes: int
    features: Any
    classifier: Any

    def predict_proba(self, sequences: Sequence[Any]) -> np.ndarray:
        """Probabilities (B, C) of all classes; 0 for a class that is not in the training targets."""
        return self.classify(self.features.transform(sequences))

    def classify(self, encoded: Any) -> np.ndarray:
        """Probabilities (B, C) of sequences that are features already."""
        probabilities = np.zeros((encoded.shape[0], self.num_classes))
        probabilities[:, self.classifier.classes_] = self.classifier.predict_proba(encoded)
        return probabilities


def linear_baseline(
    train_sequences: Sequence[Any],
    train_targets: np.ndarray,
    validation_sequences: Sequence[Any] | None,
    validation_targets: np.ndarray | None,
    *,
    kind: str,
    seed: int,
) -> LinearBaseline:
    """Fit logistic regressions on the features that suit `kind`, and return the one with the lowest validation log-loss.

    Without a validation split, features and C are chosen by 3-fold cross-validation. The weights come from the
    training split alone, as a network's do.

    Args:
        train_sequences: strings ("text", "symbols"), lists of tokens ("events") or arrays (T, channels) ("numeric").
        train_targets: (B,) class indices.
        validation_sequences: of the same kind; None: cross-validation.
        validation_targets: (B,) class indices.
        kind: "text": TF-IDF of words, 1-2-grams. "symbols": TF-IDF of characters, 1-3-grams or 1-6-grams; and where
            all training sequences have one length, each position one-hot (a longer sequence is cut, what a shorter
            one lacks is 0). "events": TF-IDF of tokens, 1-2-grams. "numeric": mean, standard deviation, minimum,
            maximum, first, last and mean absolute step of each channel, standardised.
        seed: draws the folds.

    Raises:
        ConfigError: an unknown kind, or sequences of another kind.
        DataError: fewer than two classes have two training examples, or no features can be made of the sequences.
    """
    list_features = look_up(FEATURES, kind, "kind of sequence")
    train_targets = np.asarray(train_targets)
    _check_training(train_sequences, train_targets, kind)
    num_classes = int(train_targets.max()) + 1
    trials: list[tuple[float, LinearBaseline]] = []
    for name, features in list_features(train_sequences):
        grid = _Grid(name, features, num_classes)
        models = grid.fit(train_sequences, train_targets)
        if validation_sequences is None or validation_targets is None:
            losses = _cross_validate(grid, train_sequences, train_targets, seed)
        else:
            losses = _mean_losses(models, validation_sequences, np.asarray(validation_targets))
        trials += zip(losses, models, strict=True)
    return min(trials, key=lambda trial: trial[0])[1]


def _check_training(sequences: Sequence[Any], targets: np.ndarray, kind: str) -> None:
    if len(sequences) != len(targets):
        raise ConfigError(
            f"{len(sequences)} training sequences have {len(targets)} targets. Give one target for each sequence."
        )
    if (np.bincount(targets) >= 2).sum() < 2:
        raise DataError(
            f"Training examples of each class: {np.bincount(targets).tolist()}. A baseline needs two classes with two examples each."
        )
    if isinstance(sequences[0], str) != (kind in ("text", "symbols")):
        raise ConfigError(
            f"kind {kind!r} does not fit sequences of type {type(sequences[0]).__name__}. Strings are 'text' or 'symbols', "
            "lists of tokens 'events', arrays 'numeric'."
        )


@dataclass(frozen=True)
class _Grid:
    """Features that are not fitted yet, for logistic regressions with each C."""

    name: str
    features: Any
    num_classes: int

    def fit(self, sequences: Sequence[Any], targets: np.ndarray) -> list[LinearBaseline]:
        from sklearn.base import clone

        features = clone(self.features)
        try:
            encoded = features.fit_transform(sequences)
        except ValueError as error:
            raise DataError(
                f"The training sequences cannot become features ({self.name}): {error}. Check that they are not empty."
            ) from None
        fitted = {
            f"{self.name}, logistic regression, C={C:g}": _fit_logistic_regression(C, encoded, targets) for C in C_GRID
        }
        return [
            LinearBaseline(description, self.num_classes, features, classifier)
            for description, classifier in fitted.items()
        ]


def _fit_logistic_regression(C: float, encoded: Any, targets: np.ndarray) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    # A second thread gains nothing on steps this small, and where another program holds that core they take ten times as long.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # more steps cost seconds and change nothing that the validation loss sees
        return LogisticRegression(C=C).fit(encoded, targets)


def _mean_losses(models: list[LinearBaseline], sequences: Sequence[Any], targets: np.ndarray) -> np.ndarray:
    """Log-loss of models that share their features, as (models,)."""
    encoded = models[0].features.transform(sequences)
    return np.array([log_losses(targets, model.classify(encoded)).mean() for model in models])


def _cross_validate(grid: _Grid, sequences: Sequence[Any], targets: np.ndarray, seed: int) -> np.ndarray:
    """Log-loss for each C on examples not fitted on, over stratified folds."""
    fold = np.empty(len(targets), dtype=np.int64)
    fold[np.lexsort((np.random.default_rng(seed).random(len(targets)), targets))] = np.arange(len(targets)) % FOLDS
    losses = np.zeros(len(C_GRID))
    for held in range(FOLDS):
        fitted, out = np.flatnonzero(fold != held).tolist(), np.flatnonzero(fold == held).tolist()
        models = grid.fit([sequences[i] for i in fitted], targets[fitted])
        losses += _mean_losses(models, [sequences[i] for i in out], targets[out]) / FOLDS
    return losses


def _text_features(sequences: Sequence[str]) -> Iterator[tuple[str, Any]]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    yield (
        "TF-IDF of words (1-2-grams)",
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+", dtype=np.float32),
    )


def _symbol_features(sequences: Sequence[str]) -> Iterator[tuple[str, Any]]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

    for longest in (3, 6):
        yield (
            f"TF-IDF of characters (1-{longest}-grams)",
            TfidfVectorizer(analyzer="char", ngram_range=(1, longest), lowercase=False, dtype=np.float32),
        )
    lengths = {len(sequence) for sequence in sequences}
    if len(lengths) == 1:
        split = FunctionTransformer(_symbols_by_position, kw_args={"length": lengths.pop()})
        yield "one-hot positions", make_pipeline(split, OneHotEncoder(handle_unknown="ignore"))


def _symbols_by_position(sequences: Sequence[str], length: int) -> np.ndarray:
    """Symbols as (B, length); longer strings are cut, shorter ones filled with the empty string."""
    return np.array(sequences, dtype=f"U{length}").view("U1").reshape(-1, length)


def _event_features(sequences: Sequence[Sequence[str]]) -> Iterator[tuple[str, Any]]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    tokens_as_given: dict[str, Any] = {"tokenizer": list, "token_pattern": None, "lowercase": False}
    yield (
        "TF-IDF of tokens (1-2-grams)",
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32, **tokens_as_given),
    )


def _numeric_features(sequences: Sequence[np.ndarray]) -> Iterator[tuple[str, Any]]:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    yield "summary statistics", make_pipeline(FunctionTransformer(_summarise_all), StandardScaler())


def _summarise_all(sequences: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack([_summarise(np.asarray(series, dtype=np.float64)) for series in sequences])


def _summarise(series: np.ndarray) -> np.ndarray:
    """(T, channels) -> (7 * channels,); all 0 where T is 0."""
    T, channels = series.shape
    if T == 0:
        return np.zeros(7 * channels)
    step = np.abs(np.diff(series, axis=0)).sum(axis=0) / max(T - 1, 1)
    return np.concatenate(
        [series.mean(axis=0), series.std(axis=0), series.min(axis=0), series.max(axis=0), series[0], series[-1], step]
    )


FEATURES: dict[str, Callable[[Sequence[Any]], Iterator[tuple[str, Any]]]] = {
    "text": _text_features,
    "symbols": _symbol_features,
    "events": _event_features,
    "numeric": _numeric_features,
}


def commonest_tags(
    train: Sequence[Sequence[str]], tags: Sequence[Sequence[str]], test: Sequence[Sequence[str]]
) -> list[list[str]]:
    """What a tagger must beat: the commonest tag of each word in training, and of all words for a word that was not met there."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    overall: Counter[str] = Counter()
    for words, given in zip(train, tags, strict=True):
        overall.update(given)
        for word, tag in zip(words, given, strict=True):
            counts[word][tag] += 1
    best = {word: found.most_common(1)[0][0] for word, found in counts.items()}
    otherwise = overall.most_common(1)[0][0]
    return [[best.get(word, otherwise) for word in words] for words in test]
