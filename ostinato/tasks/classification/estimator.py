"""The classifier as a scikit-learn estimator: fit, predict, predict_proba, score, save."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin

from ostinato.data.examples import Records
from ostinato.data.inputs import as_targets, weights_of
from ostinato.errors import DataError
from ostinato.tasks.classification.objective import CrossEntropy, class_weights
from ostinato.tasks.classification.target import refuse_numbers
from ostinato.tasks.classification.task import Classification
from ostinato.tasks.estimator import accept_old_names
from ostinato.tasks.records import Model, TaskData, Trained
from ostinato.tasks.sequences.estimator import SequenceEstimator, text_of_labels
from ostinato.tasks.sequences.label_array import label_array
from ostinato.tasks.sequences.labels import check_label, plain, refuse_clashing


@accept_old_names
@dataclass(kw_only=True, eq=False, repr=False)
class SequenceClassifier(ClassifierMixin, SequenceEstimator):  # type: ignore[misc]
    """A recurrent or convolutional classifier of sequences: strings, lists of tokens, or arrays (T,) or (T, channels).

    The arguments are the keys of the config tables `[model]`, `[training]` and `[data]`, which `ostinato schema`
    describes, and those below. Those that are "auto" are chosen from the training rows; `config_` shows the choice.

    Args:
        tokenizer: how strings become tokens; by default chosen by their letters and words; `events` for lists of
            strings, `numeric` for arrays and lists of numbers (pass events that are numbers as strings).
        class_weight: None, "balanced", or a mapping from label to weight.
        patience: epochs without improvement on the validation rows before training stops; None: train to the end.
        calibrate: fit a temperature on the validation rows, so that probabilities can be read as frequencies.
        validation_fraction: share of the rows to hold out for validation, stratified by label, if `fit` gets no
            `validation_data`; None, or too few rows: train on all rows, without early stopping and calibration.
        seed: seeds the held-out rows, initial weights, batch order and dropout.
        random_state: overrides `seed`, for compatibility with scikit-learn.
        verbose: show progress on a terminal.

    Attributes:
        classes_: (C,) the sorted labels, in the order of the columns of `predict_proba`.
        model_: the trained `torch.nn.Module`.
        history_: one entry per epoch.

    Example:
        >>> from ostinato import SequenceClassifier
        >>> model = SequenceClassifier(cell="gru", hidden_size=8, tokenizer="characters", max_epochs=2,
        ...                            validation_fraction=None)
        >>> model.fit(["0001", "1110", "0100", "1101"], ["few", "many", "few", "many"]).predict(["1111"]).shape
        (1,)
    """

    task: ClassVar[Classification] = Classification()

    label_smoothing: float = 0.0
    class_weight: Any = None
    calibrate: bool = True
    semi: str | None = None
    teacher: str | None = None
    confidence: float = 0.0

    def fit(
        self,
        X: Iterable[Any],
        y: Iterable[Hashable],
        validation_data: tuple[Iterable[Any], Iterable[Hashable]] | None = None,
        sample_weight: Any = None,
        unlabelled: Iterable[Any] | None = None,
    ) -> "SequenceClassifier":
        """Train on sequences and their labels.

        Args:
            X: strings, lists of tokens, or arrays (T,) or (T, channels); a list, pandas Series or array of them.
            y: one hashable label per sequence.
            validation_data: (X, y) to validate on, instead of held-out rows.
            sample_weight: (n,) weight of each row in the loss and in the metrics of held-out rows, at least 0; rows of
                weight 0 are left out. A row of weight 2 has the same gradient as two equal rows.
            unlabelled: with `semi`, sequences without labels, to be labelled by linear models or by the run `teacher`.
                Those that are also validated on are left out.

        Raises:
            ConfigError: invalid arguments, all at once.
            DataError: an invalid sequence or label (names its row), or fewer than two classes.
        """
        labels = as_targets(y)
        for row, label in enumerate(labels):
            if not isinstance(label, Hashable):
                raise DataError(
                    f"label {row} is a {type(label).__name__}: {label!r}. Expected one hashable label per sequence. "
                    "If y is a column, pass y.ravel()."
                )
            check_label(label, f"sequence {row}")
        refuse_clashing(map(plain, labels))
        refuse_numbers(labels)
        weights = self.class_weight
        if isinstance(weights, Mapping):  # the keys of a config are strings
            weights = {str(plain(label)): plain(weight) for label, weight in weights.items()}
        self._fit(X, labels, validation_data, sample_weight=sample_weight, unlabelled=unlabelled, class_weight=weights)
        return self

    def predict(self, X: Iterable[Any]) -> np.ndarray:
        """The most probable label of each sequence, (n,)."""
        best = self._answers(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: Iterable[Any]) -> np.ndarray:
        """Calibrated probabilities, (n, C), with columns in the order of `classes_`.

        Raises:
            NotFittedError: before `fit`.
            DataError: a sequence is empty, or of a different type than in training; names its row.
        """
        return self._answers(X)

    def score(self, X: Iterable[Any], y: Iterable[Hashable], sample_weight: Any = None) -> float:
        """Accuracy. A label that does not occur in the training data always counts as wrong.

        Raises:
            DataError: X, y and sample_weight do not fit each other; a weight is invalid.
        """
        known = {label: index for index, label in enumerate(self.classes_.tolist())}
        targets = np.array([known.get(plain(label), -1) for label in y])
        predicted = self._answers(X).argmax(axis=1)
        if len(predicted) != len(targets):
            raise DataError(
                f"X has {len(predicted)} sequences, but y has {len(targets)} labels. Give one per sequence."
            )
        return float(np.average(predicted == targets, weights=weights_of(sample_weight, len(targets))))

    def _strata(self, rows: Records) -> list[Any]:
        return text_of_labels(rows.targets)

    def _train(self, config: Any, data: TaskData) -> Trained:
        train = data.splits["train"]
        weights = class_weights(self.class_weight, data.codec, train.targets, train.weights)
        if weights is not None and train.weights is not None:  # scale them to a mean of 1, weighted by class
            of_class = weights[train.targets]
            train = train._replace(weights=train.weights * (of_class.sum() / (train.weights @ of_class)))
            data = replace(data, splits={**data.splits, "train": train})
        self.task.check(config, data)
        return self.task.fit(config, data, objective=CrossEntropy(weights), progress=self._progress())

    def _take(self, model: Model, trained: Trained | None = None) -> None:
        super()._take(model, trained)
        self.classes_ = label_array(model.codec.labels)
