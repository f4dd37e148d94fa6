"""From a model file or a run folder to an estimator, and from an estimator to its explanations."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.tasks.base import Model
from ostinato.tasks.estimator import Estimator
from ostinato.tasks.model_file import load_model
from ostinato.training import choose_device

if TYPE_CHECKING:
    from ostinato.explanation.explanation import Explanation
    from ostinato.explanation.trace import Trace


def load(path: str | Path, device: str = "auto") -> Any:
    """Read an estimator from a model file or a finished run folder; runs no code from it.

    Args:
        device: where its network goes: auto, cpu, cuda, cuda:1, …

    Raises:
        RunError: the file is missing, truncated, altered, or of a newer format.
        ConfigError: unknown or unavailable device.
    """
    chosen = choose_device(device)
    model = load_model(Path(path))
    model.network.to(chosen)
    return model.task.estimator.of(model)  # type: ignore[attr-defined]


def explain(model: Any, sequences: Iterable[Any], **options: Any) -> "list[Explanation]":
    """Explain the answer for each sequence: one score per token.

    Args:
        model: a fitted estimator.
        sequences: as for `predict`; truncated ones are explained as the model reads them.
        method: `integrated-gradients` (the default), `gradient-x-input`, `occlusion`, `attention` (of models that pool
            by it), `in-silico-mutagenesis` (of DNA, RNA and protein, letter by letter).
        label: the class, label, number or tag to explain; by default the predicted one.
        tokens: of a tagger, which words of each sentence to explain, counted from 0; by default those of each entity.
        progress: where to show how far it is.

    Raises:
        ConfigError: the method or the label is not one of this model.
        DataError: a sequence is empty or cannot be used.
        NotFittedError: before `fit`.
    """
    fitted = fitted_model(model)
    return fitted.task.explain(fitted, sequences, **options)


def trace(model: Any, sequence: Any, *, prefixes: int = 256) -> "Trace":
    """Follow a model through one sequence: state, gates and the running answer at each step.

    Args:
        model: a fitted estimator.
        sequence: one, as for `predict`; a truncated one is followed as the model reads it.
        prefixes: at most this many running answers, spread evenly over the sequence.

    Raises:
        ConfigError: the task or the model has no trace; fewer than two prefixes.
        DataError: the sequence is empty or cannot be used.
        NotFittedError: before `fit`.
    """
    fitted = fitted_model(model)
    return fitted.task.trace(fitted, sequence, prefixes=prefixes)


def fitted_model(model: Any) -> Model:
    """The trained model of an estimator, or the model itself.

    Raises:
        NotFittedError: the estimator is not fitted yet.
    """
    return model._fitted("") if isinstance(model, Estimator) else model
