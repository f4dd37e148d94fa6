"""The linear baseline of a data set: fitted on the same rows as the network, with the features that suit its tokens."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ostinato.evaluation.baselines import LinearBaseline
from ostinato.tasks.base import TaskData


def fit_linear(fit: Callable[..., LinearBaseline], data: TaskData, targets: Mapping[str, np.ndarray]) -> LinearBaseline:
    """Fit a linear baseline on train, with its regularisation chosen on validation if there is one.

    Args:
        fit: one of the linear models of `ostinato.evaluation.baselines`.
        targets: of each split, as `fit` takes them.
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
    """The kind of features, as `ostinato.evaluation.baselines` names them, for sequences read by this tokenizer."""
    if tokenizer == "numeric":
        return "numeric"
    if not isinstance(sequence, str):
        return "events"
    return "text" if tokenizer in ("words", "events") else "symbols"
