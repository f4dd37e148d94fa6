"""The linear baseline: fitted on the same rows as the network, with features that suit the tokenizer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ostinato.data.chunks import raw_lengths
from ostinato.data.examples import Records, selected
from ostinato.errors import DataError
from ostinato.evaluation.baselines import LinearBaseline
from ostinato.progress import TimeLeft, unlimited
from ostinato.tasks.records import TaskData

# Characters, tokens or steps of all rows together, at most, that a linear model is fitted to: about a gigabyte
MOST_FITTED, MOST_SYMBOLS = 2**25, 2**23  # symbols have six n-grams each, words two


@dataclass(frozen=True)
class ConstantBaseline:
    """What stands in for a linear baseline that cannot be fitted: the same prediction for every sequence."""

    description: str
    predict_many: Callable[[int], np.ndarray]

    def predict(self, sequences: Sequence[Any]) -> np.ndarray:
        return self.predict_many(len(sequences))


def fit_linear(
    fit: Callable[..., LinearBaseline],
    data: TaskData,
    targets: Mapping[str, np.ndarray],
    *,
    constant: Callable[[int], np.ndarray],
    time_left: TimeLeft = unlimited,
) -> LinearBaseline | ConstantBaseline:
    """Fit a linear baseline on train; the validation split, if any, selects the regularisation.

    Args:
        fit: a function of `ostinato.evaluation.baselines` that fits a linear model.
        targets: the targets of each split, in the form that `fit` expects.
        constant: predicts the same for a number of sequences: the baseline if train has too few rows for a linear one.
        time_left: when time is over, the best model so far is taken.
    """
    try:
        return fit_on_train(fit, data, targets, time_left=time_left)
    except DataError as error:
        return ConstantBaseline(f"a constant, because no linear model can be fitted: {error}", constant)


def fit_on_train(
    fit: Callable[..., LinearBaseline],
    data: TaskData,
    targets: Mapping[str, np.ndarray],
    *,
    time_left: TimeLeft = unlimited,
) -> LinearBaseline:
    """The same as `fit_linear`, with an error in place of a constant.

    Raises:
        DataError: no linear model can be fitted.
    """
    train, validation = data.rows["train"], data.rows.get("validation")
    kind = baseline_kind(data.encoder.tokenizer, train.sequences[0])
    sequences, chosen = some_of(train, targets["train"], kind)
    fitted = fit(
        sequences,
        chosen,
        *((None, None) if validation is None else some_of(validation, targets["validation"], kind, share=4)),
        kind=kind,
        seed=data.config.seed,
        time_left=time_left,
    )
    if len(chosen) == len(train):
        return fitted
    return replace(fitted, description=f"{fitted.description}, fitted to {len(chosen):,} of {len(train):,} rows")


def some_of(rows: Records, targets: np.ndarray, kind: str, share: int = 1) -> tuple[Sequence[Any], np.ndarray]:
    """The sequences and targets that a linear model is fitted to: all, or evenly spaced ones of larger data.

    Args:
        share: 4: at most a quarter of what is taken from a training split.
    """
    size, most = int(raw_lengths(rows.sequences).sum()), (MOST_SYMBOLS if kind == "symbols" else MOST_FITTED) // share
    if size <= most:
        return rows.sequences, targets
    count = max(len(rows) * most // size, 1)
    chosen = np.arange(count) * len(rows) // count
    return selected(rows.sequences, chosen), targets[chosen]


def baseline_kind(tokenizer: str, sequence: Any) -> str:
    """The kind of features, by its name in `ostinato.evaluation.baselines`, for the sequences of a tokenizer."""
    if tokenizer == "numeric":
        return "numeric"
    if not isinstance(sequence, str):
        return "events"
    return "text" if tokenizer in ("words", "subwords", "events") else "symbols"
