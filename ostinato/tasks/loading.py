"""Load estimators from model files and run folders, and explain or trace their answers."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ostinato.tasks.estimator import Estimator
from ostinato.tasks.model_file import load_model
from ostinato.tasks.records import Model
from ostinato.training import choose_device

if TYPE_CHECKING:
    from ostinato.explanation.explanation import Explanation
    from ostinato.explanation.trace import Trace


def load(path: str | Path, device: str = "auto") -> Any:
    """Load an estimator from a model file, a finished run folder or the hub, without running any code from it.

    Args:
        path: of the file or folder, or `hf://OWNER/NAME` or `hf://OWNER/NAME@REVISION` on the Hugging Face hub.
        device: the device of the network: auto, cpu, cuda, cuda:1, …

    Raises:
        RunError: the file is missing, truncated, altered, or of a newer format, or cannot be fetched.
        ConfigError: unknown or unavailable device; an address on the hub that is incomplete.
        MissingExtraError: the model is on the hub, and huggingface_hub is not installed.
    """
    chosen = choose_device(device)
    model = load_model(Path(path))
    model.network.to(chosen)
    return model.task.estimator.of(model)  # type: ignore[attr-defined]


def explain(model: Any, sequences: Iterable[Any], **options: Any) -> "list[Explanation]":
    """Explain the answer to each sequence with one score per token.

    Args:
        model: a fitted estimator.
        sequences: as for `predict`; only the part that the model reads is explained.
        method: `integrated-gradients` (the default), `gradient-x-input`, `occlusion`, `attention` (models with
            attention pooling), `in-silico-mutagenesis` (DNA, RNA and protein; one score per letter).
        label: the class, label, number or tag to explain; by default the predicted one.
        tokens: for taggers, the words of each sentence to explain, counted from 0; by default the least certain word
            of each entity.
        progress: where to show progress.

    Raises:
        ConfigError: the model does not have the method or the label.
        DataError: a sequence is empty or cannot be used.
        NotFittedError: before `fit`.
    """
    fitted = fitted_model(model)
    return fitted.task.explain(fitted, sequences, **options)


def trace(model: Any, sequence: Any, *, prefixes: int = 256) -> "Trace":
    """Trace a model through one sequence: state, gates and the running answer at each step.

    Args:
        model: a fitted estimator.
        sequence: one sequence, as for `predict`; only the part that the model reads is traced.
        prefixes: maximum number of running answers, spread evenly over the sequence.

    Raises:
        ConfigError: the task or the model does not support traces; fewer than two prefixes.
        DataError: the sequence is empty or cannot be used.
        NotFittedError: before `fit`.
    """
    fitted = fitted_model(model)
    return fitted.task.trace(fitted, sequence, prefixes=prefixes)


def fitted_model(model: Any) -> Model:
    """The trained model of an estimator; a `Model` is returned unchanged.

    Raises:
        NotFittedError: the estimator is not fitted yet.
    """
    return model._fitted("") if isinstance(model, Estimator) else model
