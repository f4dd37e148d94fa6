"""The linear baseline: fitted on the same rows as the network, with features that suit the tokenizer."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ostinato.evaluation.baselines import LinearBaseline
from ostinato.tasks.base import TaskData


def fit_linear(fit: Callable[..., LinearBaseline], data: TaskData, targets: Mapping[str, np.ndarray]) -> LinearBaseline:
    """Fit a linear baseline on train; the validation split, if any, selects the regularisation.

    Args:
        fit: a function of `ostinato.evaluation.baselines` that fits a linear model.
        targets: the targets of each split, in the form that `fit` expects.
    """
    train, validation = data.rows["train"], data.rows.get("validation")
    return fit(
        train.sequences,
        targets["train"],
        None if validation is None else validation.sequences,
        targets.get("validation"),
        kind=baseline_kind(data.encoder.tokenizer, train.sequences[0]),
        seed=data.config.seed,
    )


def baseline_kind(tokenizer: str, sequence: Any) -> str:
    """The kind of features, by its name in `ostinato.evaluation.baselines`, for the sequences of a tokenizer."""
    if tokenizer == "numeric":
        return "numeric"
    if not isinstance(sequence, str):
        return "events"
    return "text" if tokenizer in ("words", "events") else "symbols"
