"""Ostinato: recurrent sequence classification and labelling on PyTorch.

Importing this package is cheap: its names bring torch along only when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato import data, evaluation, explanation, nn
    from ostinato.errors import OstinatoError
    from ostinato.estimators import SequenceClassifier, SequenceTagger, load
    from ostinato.explanation.attribution import explain
    from ostinato.explanation.trace import trace
    from ostinato.nn.accelerate import accelerate

__all__ = [
    "OstinatoError",
    "SequenceClassifier",
    "SequenceTagger",
    "accelerate",
    "data",
    "evaluation",
    "explain",
    "explanation",
    "load",
    "nn",
    "trace",
]

_HOME = {
    "OstinatoError": "errors",
    "SequenceClassifier": "estimators",
    "SequenceTagger": "estimators",
    "accelerate": "nn.accelerate",
    "explain": "explanation.attribution",
    "load": "estimators",
    "trace": "explanation.trace",
}
_SUBPACKAGES = ("data", "evaluation", "explanation", "nn")


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return import_module(f"ostinato.{name}")
    if name in _HOME:
        return getattr(import_module(f"ostinato.{_HOME[name]}"), name)
    raise AttributeError(f"module 'ostinato' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
