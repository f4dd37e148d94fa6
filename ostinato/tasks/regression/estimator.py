"""The regressor as scikit-learn has estimators: fit, predict, score, save."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import RegressorMixin

from ostinato.data.encoding import LARGEST
from ostinato.data.inputs import weights_of
from ostinato.errors import ConfigError, DataError
from ostinato.tasks.estimator import accept_old_names
from ostinato.tasks.regression.task import Regression
from ostinato.tasks.sequences.estimator import SequenceEstimator


@accept_old_names
@dataclass(kw_only=True, eq=False, repr=False)
class SequenceRegressor(RegressorMixin, SequenceEstimator):  # type: ignore[misc]
    """A recurrent or convolutional regressor of sequences: strings, lists of tokens, or arrays (T,) or (T, channels).

    The arguments are keys of the config's tables `[model]`, `[training]` and `[data]`, which `ostinato schema`
    describes, and those below. Those that are "auto" are chosen from the training rows; `config_` shows the choice.

    Args:
        tokenizer: how strings become tokens; by default chosen by their letters and words; `events` for lists of
            strings, `numeric` for arrays and lists of numbers (give events that are numbers as strings).
        loss: "squared", "absolute", "huber" (squared up to one standard deviation of the target, linear above) or
            "quantile".
        quantiles: of loss "quantile", in increasing order; by default [0.1, 0.5, 0.9]. `predict` gives quantile 0.5,
            or the middle one.
        patience: epochs without improvement on the validation rows before training stops; None: train to the end.
        validation_fraction: share of the rows held out for validation when `fit` gets no `validation_data`; None, or
            too few rows: train on all rows, without early stopping.
        seed: draws the held-out rows, weights, batch order and dropout.
        random_state: scikit-learn's name for it; where given, it replaces `seed`.
        verbose: show progress on a terminal.

    Attributes:
        model_: the trained `torch.nn.Module`.
        history_: one entry per epoch.

    Example:
        >>> from ostinato import SequenceRegressor
        >>> model = SequenceRegressor(cell="gru", hidden_size=8, tokenizer="characters", max_epochs=2,
        ...                           validation_fraction=None)
        >>> model.fit(["0001", "1110", "0100", "1101"], [1, 3, 1, 3]).predict(["1111"]).shape
        (1,)
    """

    task: ClassVar[Regression] = Regression()

    dropout: float = 0.1
    loss: str = "squared"
    quantiles: Any = None

    def fit(
        self,
        X: Iterable[Any],
        y: Any,
        validation_data: tuple[Iterable[Any], Any] | None = None,
        sample_weight: Any = None,
    ) -> "SequenceRegressor":
        """Train on sequences and their numbers.

        Args:
            X: strings, lists of tokens, or arrays (T,) or (T, channels); a list, pandas Series or array of them.
            y: (n,) or (n, K) finite numbers; a list, array, pandas Series or DataFrame.
            validation_data: (X, y) to validate on, instead of held-out rows.
            sample_weight: (n,) weight of each row in the loss and in the metrics of held-out rows, at least 0; rows of
                weight 0 are left out. A row of weight 2 has the same gradient as two equal rows.

        Raises:
            ConfigError: arguments that cannot be used, all at once.
            DataError: a sequence or a number that cannot be used, with its row; a target that never varies.
        """
        validation = None if validation_data is None else (validation_data[0], targets_of(validation_data[1]))
        self._fit(X, targets_of(y), validation, sample_weight=sample_weight)
        return self

    def predict(self, X: Iterable[Any]) -> np.ndarray:
        """Predict the number of each sequence, in the units of `y`. Returns (n,), or (n, K) for K > 1 targets.

        Raises:
            NotFittedError: before `fit`.
            DataError: a sequence is empty or of another kind than in training; names its row.
        """
        answers = torch.from_numpy(self._answers(X))
        predicted: np.ndarray = self.model_.predictions(answers).numpy()  # type: ignore[operator]
        return predicted[:, 0] if predicted.shape[1] == 1 else predicted

    def score(self, X: Iterable[Any], y: Any, sample_weight: Any = None) -> float:
        """R², as for scikit-learn's regressors: the mean over the targets.

        Raises:
            DataError: X, y and sample_weight do not fit each other; a weight is invalid.
        """
        from sklearn.metrics import r2_score

        targets, predicted = np.asarray(y, dtype=np.float64), self.predict(X)
        if len(predicted) != len(targets):
            raise DataError(f"X has {len(predicted)} sequences, but y has {len(targets)} rows. Give one per sequence.")
        return float(r2_score(targets, predicted, sample_weight=weights_of(sample_weight, len(predicted))))

    def predict_quantiles(self, X: Iterable[Any]) -> np.ndarray:
        """Predict the quantiles of each sequence, in increasing order. Returns (n, K, Q).

        Raises:
            NotFittedError: before `fit`.
            ConfigError: the loss is not "quantile".
            DataError: a sequence is empty or of another kind than in training; names its row.
        """
        network = self.model_
        if not network.levels:
            raise ConfigError(f"loss {self.loss!r} predicts no quantiles. Fit with loss='quantile'.")
        quantiles: np.ndarray = network.quantiles(torch.from_numpy(self._answers(X))).numpy()  # type: ignore[operator]
        return quantiles


def targets_of(y: Any) -> list[dict[str, float]]:
    """The numbers of each row, by name: a DataFrame's columns, else `target`, or `target_0`, `target_1`, …

    Raises:
        DataError: y is not (n,) or (n, K) finite numbers, or one is too large for float32.
    """
    given = y if hasattr(y, "shape") else list(y)
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"y holds something other than numbers ({error}). Expected (n,) or (n, K) numbers.") from None
    if values.ndim not in (1, 2) or 0 in values.shape[1:]:
        raise DataError(f"y has the shape {values.shape}. Expected (n,) or (n, K) numbers.")
    values = values.reshape(len(values), -1)
    for row in np.flatnonzero(~(np.abs(values) <= LARGEST).all(axis=1))[:1]:
        raise DataError(
            f"y, row {row}: {values[row].tolist()}. Expected finite numbers of a magnitude of at most {LARGEST:.2g}. "
            "Correct it, or remove the row."
        )
    names = [str(name) for name in getattr(y, "columns", [])] or (
        ["target"] if values.shape[1] == 1 else [f"target_{k}" for k in range(values.shape[1])]
    )
    return [dict(zip(names, row, strict=True)) for row in values.tolist()]
