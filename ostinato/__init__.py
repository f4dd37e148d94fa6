"""Ostinato: recurrent sequence classification, labelling and regression on PyTorch.

Importing this package is cheap: its names bring torch along only when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato import data, evaluation, explanation, export, nn
    from ostinato.errors import OstinatoError
    from ostinato.nn.accelerate import accelerate
    from ostinato.pretraining.run import pretrain
    from ostinato.tasks.classification.estimator import SequenceClassifier
    from ostinato.tasks.ensembles import ensemble
    from ostinato.tasks.loading import explain, load, trace
    from ostinato.tasks.multilabel.estimator import SequenceMultilabelClassifier
    from ostinato.tasks.regression.estimator import SequenceRegressor
    from ostinato.tasks.tagging.estimator import SequenceTagger
    from ostinato.versions import __version__

_HOME = {
    "OstinatoError": "errors",
    "SequenceClassifier": "tasks.classification.estimator",
    "SequenceMultilabelClassifier": "tasks.multilabel.estimator",
    "SequenceRegressor": "tasks.regression.estimator",
    "SequenceTagger": "tasks.tagging.estimator",
    "__version__": "versions",
    "accelerate": "nn.accelerate",
    "ensemble": "tasks.ensembles",
    "explain": "tasks.loading",
    "load": "tasks.loading",
    "pretrain": "pretraining.run",
    "trace": "tasks.loading",
}
_SUBPACKAGES = ("data", "evaluation", "explanation", "export", "nn")

__all__ = [
    "OstinatoError",
    "SequenceClassifier",
    "SequenceMultilabelClassifier",
    "SequenceRegressor",
    "SequenceTagger",
    "__version__",
    "accelerate",
    "data",
    "ensemble",
    "evaluation",
    "explain",
    "explanation",
    "export",
    "load",
    "nn",
    "pretrain",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return import_module(f"ostinato.{name}")
    if name in _HOME:
        return getattr(import_module(f"ostinato.{_HOME[name]}"), name)
    raise AttributeError(f"module 'ostinato' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
