"""Ostinato: recurrent sequence classification on PyTorch.

Importing this package is cheap: its names bring torch along only when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato import data, evaluation, nn
    from ostinato.errors import OstinatoError
    from ostinato.estimators import SequenceClassifier, load
    from ostinato.nn.accelerate import accelerate

__all__ = ["OstinatoError", "SequenceClassifier", "accelerate", "data", "evaluation", "load", "nn"]

_HOME = {"OstinatoError": "errors", "SequenceClassifier": "estimators", "accelerate": "nn.accelerate", "load": "estimators"}
_SUBPACKAGES = ("data", "evaluation", "nn")


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return import_module(f"ostinato.{name}")
    if name in _HOME:
        return getattr(import_module(f"ostinato.{_HOME[name]}"), name)
    raise AttributeError(f"module 'ostinato' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
