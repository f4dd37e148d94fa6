"""The multilabel classifier as scikit-learn has estimators: fit, predict, predict_proba, score, save."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import ClassifierMixin

from ostinato.data.inputs import weights_of
from ostinato.errors import DataError
from ostinato.tasks.estimator import accept_old_names
from ostinato.tasks.multilabel.codec import LabelSetCodec
from ostinato.tasks.multilabel.label_sets import LabelSets, label_sets_of
from ostinato.tasks.multilabel.task import Multilabel
from ostinato.tasks.records import Model, Trained
from ostinato.tasks.sequences.estimator import SequenceEstimator
from ostinato.tasks.sequences.label_array import label_array
from ostinato.tasks.sequences.labels import refuse_clashing


@accept_old_names
@dataclass(kw_only=True, eq=False, repr=False)
class SequenceMultilabelClassifier(ClassifierMixin, SequenceEstimator):  # type: ignore[misc]
    """A recurrent or convolutional classifier that gives each sequence any number of labels.

    The arguments are keys of the config's tables `[model]`, `[training]` and `[data]`, which `ostinato schema`
    describes, and those below. Those that are "auto" are chosen from the training rows; `config_` shows the choice.

    Args:
        label_names: what the columns of an indicator matrix are called; by default a data frame's columns, else 0 to
            L - 1.
        label_weight: None, or "balanced": rows with a label weigh as much in its loss as rows without it. Probabilities
            are then higher than frequencies.
        calibrate: fit a temperature for each label on the validation rows.
        thresholds: "f1": predict a label from the probability on that has the highest F1 on the validation rows (0.5
            for a label that fewer than 10 of them have); "half": from 0.5 on.
        tokenizer: how strings become tokens; by default chosen by their letters and words; `events` for lists of
            strings, `numeric` for arrays and lists of numbers (give events that are numbers as strings).
        patience: epochs without improvement on the validation rows before training stops; None: train to the end.
        validation_fraction: share of the rows held out for validation, stratified by label, when `fit` gets no
            `validation_data`; None, or too few rows: train on all rows, without early stopping, calibration and
            thresholds.
        seed: draws the held-out rows, weights, batch order and dropout.
        random_state: scikit-learn's name for it; where given, it replaces `seed`.
        verbose: show progress on a terminal.

    Attributes:
        classes_: (L,) the labels; columns of `predict_proba`.
        thresholds_: (L,) the probability from which each label is predicted.
        model_: the trained `torch.nn.Module`.
        history_: one entry per epoch.

    Example:
        >>> from ostinato import SequenceMultilabelClassifier
        >>> model = SequenceMultilabelClassifier(cell="gru", hidden_size=8, tokenizer="characters", max_epochs=30,
        ...                                      lr=0.03, pooling="max", position=None, validation_fraction=None)
        >>> model = model.fit(["axx", "xbx", "xab", "xxx"] * 4, [["a"], ["b"], ["a", "b"], []] * 4)
        >>> model.predict(["xxa", "xxx"])
        [('a',), ()]
    """

    task: ClassVar[Multilabel] = Multilabel()

    label_names: Sequence[Any] | None = None
    label_smoothing: float = 0.0
    label_weight: str | None = None
    calibrate: bool = True
    semi: str | None = None
    teacher: str | None = None
    confidence: float = 0.0
    thresholds: str = "f1"

    def fit(
        self,
        X: Iterable[Any],
        y: Any,
        validation_data: tuple[Iterable[Any], Any] | None = None,
        sample_weight: Any = None,
        unlabelled: Iterable[Any] | None = None,
    ) -> "SequenceMultilabelClassifier":
        """Train on sequences and their labels.

        Args:
            X: strings, lists of tokens, or arrays (T,) or (T, channels); a list, pandas Series or array of them.
            y: an indicator matrix (n, L) of 0 and 1, dense or sparse; or a list, tuple or set of labels for each
                sequence, which may be empty.
            validation_data: (X, y) to validate on, instead of held-out rows.
            sample_weight: (n,) weight of each row in the loss and in the metrics of held-out rows, at least 0; rows of
                weight 0 are left out. A row of weight 2 has the same gradient as two equal rows.
            unlabelled: with `semi`, sequences without labels, to be labelled by linear models or by the run `teacher`.
                Those that are also validated on are left out.

        Raises:
            ConfigError: arguments that cannot be used, all at once.
            DataError: a sequence or a row of y that cannot be used; all rows have the same labels.
        """
        given = label_sets_of(y, self.label_names)
        refuse_clashing(label for labels in given.rows for label in labels)
        if validation_data is not None:
            X_validation, y_validation = validation_data
            validation_data = X_validation, given.read_more(y_validation).rows
        codec = None if given.columns is None else LabelSetCodec(given.columns, is_indicator=True)
        self._fit(X, given.rows, validation_data, sample_weight=sample_weight, codec=codec, unlabelled=unlabelled)
        return self

    def predict(self, X: Iterable[Any]) -> Any:
        """Predict the labels whose probability reaches their threshold.

        Returns:
            What y was in `fit`: an indicator matrix (n, L) of 0 and 1, always dense; or a list of tuples of labels, in
            the order of `classes_`.
        """
        predicted = self._predicted(X)
        codec: LabelSetCodec = self.codec_
        return predicted.astype(np.int64) if codec.is_indicator else codec.decode(predicted)

    def predict_proba(self, X: Iterable[Any]) -> np.ndarray:
        """Calibrated probabilities. Returns (n, L), columns as in `classes_`.

        Raises:
            NotFittedError: before `fit`.
            DataError: a sequence is empty or of another kind than in training; names its row.
        """
        return self._answers(X)

    def score(self, X: Iterable[Any], y: Any, sample_weight: Any = None) -> float:
        """The subset accuracy: the share of sequences whose labels are all correct, as for scikit-learn's classifiers.

        A row with a label that training never saw counts as wrong.
        """
        codec: LabelSetCodec = self.codec_
        fitted = LabelSets([], codec.labels if codec.is_indicator else None)
        targets = fitted.read_more(y).rows
        decoded = codec.decode(self._predicted(X))
        if len(decoded) != len(targets):
            raise DataError(f"X has {len(decoded)} sequences and y has {len(targets)} rows. Give one row per sequence.")
        right = [set(labels) == set(true) for labels, true in zip(decoded, targets, strict=True)]
        return float(np.average(right, weights=weights_of(sample_weight, len(right))))

    def _predicted(self, X: Iterable[Any]) -> np.ndarray:
        """Whether each label is predicted. Returns (n, L) booleans."""
        answers = torch.from_numpy(self._answers(X))
        predicted: np.ndarray = self._fitted("").network.decisions(answers).cpu().numpy()
        return predicted

    def _take(self, model: Model, trained: Trained | None = None) -> None:
        super()._take(model, trained)
        self.classes_ = label_array(model.codec.labels)
        self.thresholds_ = model.network.thresholds.cpu().numpy()
