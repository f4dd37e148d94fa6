"""The fitted baselines of a classifier in its report: which there are, their names, and which one is to beat."""

from collections.abc import Mapping
from typing import NamedTuple

from ostinato.evaluation.metrics import ClassificationMetrics
from ostinato.tasks.classification.task import Classification


class Name(NamedTuple):
    """How a baseline is called in a table's row, in a table's heading, and in a sentence."""

    row: str
    heading: str
    sentence: str


NAMES = {
    "linear": Name("linear baseline", "linear", "the linear baseline"),
    "nbsvm": Name("NB-SVM", "NB-SVM", "NB-SVM"),
    "boosting": Name("gradient boosting", "boosting", "gradient boosting"),
    "kernels": Name("MiniRocket", "MiniRocket", "MiniRocket with ridge regression"),
}


def fitted(scores: Mapping[str, ClassificationMetrics]) -> dict[str, ClassificationMetrics]:
    """The baselines that were fitted, by name, the linear one first."""
    return {name: scores[name] for name in NAMES if name in scores}


def strongest(scores: Mapping[str, ClassificationMetrics]) -> str:
    """The name of the baseline to beat: the best on validation; without a validation split, the linear one."""
    return Classification().to_beat({name: each.to_json() for name, each in fitted(scores).items()})
