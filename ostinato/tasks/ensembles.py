"""Ensembles: several trained models of one task whose answers are averaged."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from ostinato.errors import ConfigError
from ostinato.tasks.records import Model

EQUAL, VALIDATION = "equal", "validation"  # where the weights of members come from


class Joining(ABC):
    """How the models of a task become an ensemble, and what its report says of them."""

    @abstractmethod
    def join(self, members: Sequence[Model], names: Sequence[str]) -> Model:
        """Join models with equal weights. Config and codec are those of the first; networks are not copied.

        Args:
            names: of the members, for messages.

        Raises:
            ConfigError: the members differ in targets or kind of input; names the difference.
        """

    def outputs(self, model: Model, examples: Any) -> Any:
        """What a member contributes to the mean, for encoded examples."""
        return model.task.outputs(model.network, examples)

    def combine(self, model: Model, outputs: Sequence[Any], examples: Any) -> Any:
        """The outputs of the ensemble, from those of each member; `Task.score` reads them."""
        return model.network.combine(outputs)

    @abstractmethod
    def fit_weights(self, model: Model, outputs: Sequence[Any], examples: Any) -> np.ndarray:
        """The weights (M,) with the lowest loss on validation rows, from the outputs of each member."""

    @abstractmethod
    def scores(self, model: Model, examples: Any, outputs: Any) -> dict[str, float]:
        """How good and how well calibrated a member or the ensemble is, by metric."""

    @abstractmethod
    def agreement(self, model: Model, one: Any, other: Any) -> float:
        """How much the answers of two members agree; 1 if they are equal."""


def join(members: Sequence[Model], names: Sequence[str] | None = None) -> Model:
    """Join trained models of one task, with equal weights.

    Args:
        names: of the members, for messages; by default `model 1` and so on.

    Raises:
        ConfigError: fewer than two models, a member is an ensemble itself, or they do not fit each other.
    """
    if len(members) < 2:
        raise ConfigError(f"An ensemble needs at least two models, but got {len(members)}. Add another one.")
    names = [f"model {number}" for number in range(1, len(members) + 1)] if names is None else names
    for name, member in zip(names, members, strict=True):
        if member.members:
            raise ConfigError(f"{name}: is an ensemble itself. Join its members instead.")
        if member.task.name != members[0].task.name:
            raise ConfigError(
                f"{name}: has the task {member.task.name}, and {names[0]} {members[0].task.name}. Join models of one "
                "task."
            )
    return members[0].task.joining.join(members, names)


def set_weights(model: Model, weights: Sequence[float] | np.ndarray) -> None:
    """Set the weights of an ensemble's members; they are scaled to the sum 1.

    Raises:
        ConfigError: their number is not that of the members, or one is negative or not finite, or all are 0.
    """
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (len(model.members),):
        raise ConfigError(f"weights {list(weights)}: expected {len(model.members)} of them, one for each model.")
    if not (np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0):
        raise ConfigError(f"weights {list(weights)}: expected numbers of at least 0, with one above 0.")
    with torch.no_grad():
        model.network.weights.copy_(torch.from_numpy(values / values.sum()))


def member_outputs(model: Model, rows: Any) -> list[Any]:
    """The outputs of each member for labelled rows."""
    task = model.task
    return [task.joining.outputs(member, task.encode(member, rows)) for member in model.members]


def fit(model: Model, outputs: Sequence[Any], examples: Any, *, fit_weights: bool) -> None:
    """Fit the weights if wanted, and calibrate the ensemble, on validation rows.

    Args:
        outputs: of each member, for the examples.
    """
    joining = model.task.joining
    if fit_weights:
        set_weights(model, joining.fit_weights(model, outputs, examples))
    model.task.calibrate(model.config, model.network, joining.combine(model, outputs, examples), examples)


def ensemble(
    models: Iterable[Any],
    weights: str | Sequence[float] | None = None,
    validation_data: tuple[Iterable[Any], Any] | None = None,
) -> Any:
    """Join fitted estimators of one task to an estimator that averages their answers.

    The models may differ in tokenizer, cell, size and wide part, but not in task and targets. They are not copied.

    Args:
        models: at least two.
        weights: of the models; None: all equal; `validation`: with the lowest loss on `validation_data`.
        validation_data: (X, y) that no model was trained on; also calibrates the probabilities of the ensemble.

    Raises:
        ConfigError: the models do not fit each other, or the weights do not fit the models.
        DataError: a row of `validation_data` cannot be used.
        NotFittedError: a model is not fitted.

    Source: Lakshminarayanan, Pritzel & Blundell (2017), arXiv:1612.01474.
    """
    from ostinato.tasks.loading import fitted_model

    model = join([fitted_model(each) for each in models])
    if isinstance(weights, str) and (weights != VALIDATION or validation_data is None):
        raise ConfigError(
            f"weights {weights!r}: expected None, a list of numbers, or {VALIDATION!r} with validation_data."
        )
    if weights is not None and not isinstance(weights, str):
        set_weights(model, weights)
    if validation_data is not None:
        X, y = validation_data
        rows = model.task.labelled_rows(model, X, y)
        model.task.refuse_new(model, rows)
        fit(model, member_outputs(model, rows), model.task.encode(model, rows), fit_weights=isinstance(weights, str))
    return model.task.estimator.of(model)  # type: ignore[attr-defined]
